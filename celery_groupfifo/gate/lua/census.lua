-- Made of lua/census.lua by `make scripts`: change that file, not this one.
--
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
local redis_call = redis.call
local K_entries = KEYS[1]
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
-- The starts of the ranges of due.
-- Returns the record; nothing when there is none, and its text when it can't be read.
local function read_flight(id)
  local text = redis_call('HGET', K_flight, id)
  local state, drawn, fence, lost, since, owner, call, due, stop, group, queue =
    string.match(text or '', '^([^ ]+) (%d+) ([%d-]+) (%d+) (%d+) ([^ ]+) ([^ ]+) ([%d-]+) ([^ ]+) ([^ ]+) ([^ ]+)$')
  local r, corrupt
  if state then
    r = {
      state = state, release = drawn, fence = fence, lost = lost, since = since, owner = owner,
      call = call, due = due, stop = stop, group = group, queue = queue,
    }
  elseif text then
    corrupt = text
  end
  return r, corrupt
end

local page = redis_call('HSCAN', K_entries, ARGV[3], 'COUNT', ARGV[4])
local items, match, bytes, parked, reply = page[2], string.match, 0, {}, { page[1], 0, '' }
for i = 1, #items, 2 do
  local id, text = items[i], items[i + 1]
  local us, group = match(text, '^(%d+) (%S+) %S+ %d+\n')
  local flight = redis_call('HGET', K_flight, id)
  bytes = bytes + #text
  if us and not flight then
    parked[#parked + 1] = id .. '\t' .. us .. ' ' .. group
  else
    local r, kinds = read_flight(id), ''
    for _, kind in ipairs({ 'l', 'h', 'r' }) do
      kinds = kinds .. (redis_call('ZSCORE', K_due, kind .. ' ' .. id) and kind or '')
    end
    if r and redis_call('ZSCORE', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id) then
      kinds = kinds .. 'g'
    end
    for _, word in ipairs({ id, us or '', group or '', flight or '', kinds }) do
      reply[#reply + 1] = word
    end
  end
end
reply[2], reply[3] = bytes, table.concat(parked, '\n')
return reply
