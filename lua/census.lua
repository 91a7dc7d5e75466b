-- census: read a page of all entries, those in flight with their traces in the gate's other keys.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] cursor  (number)  of the page; 0: the first
-- ARGV[4] limit   (count)   about so many
-- Returns {next, bytes, parked, [id, us, group, flight, kinds]...}: the cursor of the next page, 0 after the last · of
--         the page's messages · "<id>\t<us> <group>" of each entry that is not in flight, in lines: one text, as it is
--         read many times faster than so many words · for each other entry when it was parked and its group
--         (empty: unreadable), its record in flight, and the kinds of its members of due and on_the_way: l a lease,
--         h a hold, r a ticket that did not reach the broker, g a ticket on its way
-- Complexity O(limit)
--@include keys flight
local page = redis.call('HSCAN', K.entries, ARGV[3], 'COUNT', ARGV[4])
local items, match, bytes, parked, reply = page[2], string.match, 0, {}, { page[1], 0, '' }
for i = 1, #items, 2 do
  local id, text = items[i], items[i + 1]
  local us, group = match(text, '^(%d+) (%S+) %S+ %d+\n')
  local flight = redis.call('HGET', K.flight, id)
  bytes = bytes + #text
  if us and not flight then
    parked[#parked + 1] = id .. '\t' .. us .. ' ' .. group
  else
    local r, kinds = read_flight(id), ''
    for _, kind in ipairs({ 'l', 'h', 'r' }) do
      kinds = kinds .. (redis.call('ZSCORE', K.due, kind .. ' ' .. id) and kind or '')
    end
    if r and redis.call('ZSCORE', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id) then
      kinds = kinds .. 'g'
    end
    for _, word in ipairs({ id, us or '', group or '', flight or '', kinds }) do
      reply[#reply + 1] = word
    end
  end
end
reply[2], reply[3] = bytes, table.concat(parked, '\n')
return reply
