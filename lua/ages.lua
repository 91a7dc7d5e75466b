-- ages: read since when the first entry in line of each group waits.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10-] lines (list)   waiting, of each group
-- ARGV[1-2]       clock, tag
-- Returns a text with blanks: for each group when that entry was parked (ms), 0 when no entry is in line
-- Complexity O(groups)
local found, match = {}, string.match
for i = 10, #KEYS do
  found[i - 9] = match(redis.call('LINDEX', KEYS[i], 0) or '', '^(%d+)%d%d%d ') or '0'
end
return table.concat(found, ' ')
