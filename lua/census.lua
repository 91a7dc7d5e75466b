-- census: read a page of all entries, each with its traces in the gate's other keys.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] cursor  (number)  of the page; 0: the first
-- ARGV[4] limit   (count)   about so many
-- Returns {next, [id, us, group, flight, appointment]...}: the cursor of the next page, 0 after the last · for
--         each entry when it was parked and its group (empty: unreadable), its record in flight, and the kinds of
--         its members of due and on_the_way: of e l h r g
-- Complexity O(limit)
--@include keys flight
local page = redis.call('HSCAN', K.entries, ARGV[3], 'COUNT', ARGV[4])
local reply = { page[1] }
for i = 1, #page[2], 2 do
  local id, text = page[2][i], page[2][i + 1]
  local us, group = string.match(text, '^(%d+) (%S+) %S+ %d+\n')
  local flight, r, kinds = redis.call('HGET', K.flight, id), read_flight(id), ''
  for _, kind in ipairs({ 'l', 'h', 'r' }) do
    kinds = kinds .. (redis.call('ZSCORE', K.due, kind .. ' ' .. id) and kind or '')
  end
  if group and redis.call('ZSCORE', K.due, 'e ' .. group .. ' ' .. id) then
    kinds = kinds .. 'e'
  end
  if r and redis.call('ZSCORE', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id) then
    kinds = kinds .. 'g'
  end
  for _, word in ipairs({ id, us or '', group or '', flight or '', kinds }) do
    reply[#reply + 1] = word
  end
end
return reply
