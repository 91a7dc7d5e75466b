-- ages: read since when the first entry in line of each group waits.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10-] lines (list)   waiting, of each group
-- ARGV[1-2]       clock, tag
-- ARGV[3] count   (count)  groups
-- ARGV[4-] groups (text)   their names
-- Returns for each group when that entry was parked (ms), 0 when no entry is in line
-- Complexity O(groups)
--@include release
local lists = named_lists(10, 4, tonumber(ARGV[3]))

local found = {}
for i = 4, #ARGV do
  local waiting = lists[ARGV[i]]
  found[#found + 1] = tonumber(string.match(redis.call('LINDEX', waiting, 0) or '', '^(%d+)%d%d%d ') or 0)
end
return found
