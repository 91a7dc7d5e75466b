-- Made of lua/census.lua by `make scripts`: change that file, not this one.
--
-- census: read a page of all entries.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] cursor  (number)  of the page; 0: the first
-- ARGV[4] limit   (count)   about so many
-- Returns {next, bytes, text, [id]...}: the cursor of the next page, 0 after the last · of the page's messages ·
--         "<id>\t<us> <group>" of each entry, in lines: one text, as it is read many times faster than so many words ·
--         ids of entries that can't be read
-- Complexity O(limit)
local redis_call = redis.call
local K_entries = KEYS[1]
-- The starts of the ranges of due.

local page = redis_call('HSCAN', K_entries, ARGV[3], 'COUNT', ARGV[4])
local items, match, bytes, found, reply = page[2], string.match, 0, {}, { page[1], 0, '' }
for i = 1, #items, 2 do
  local id, text = items[i], items[i + 1]
  local us, group = match(text, '^(%d+) (%S+) %S+ %d+%f[ \n][^\n]*\n')
  bytes = bytes + #text
  if us then
    found[#found + 1] = id .. '\t' .. us .. ' ' .. group
  else
    reply[#reply + 1] = id
  end
end
reply[2], reply[3] = bytes, table.concat(found, '\n')
return reply
