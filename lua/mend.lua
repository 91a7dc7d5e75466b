-- mend: correct a word of a group's state, when it still is what the caller saw; a sweep lets the group go on.
--
-- KEYS[1-9]      the gate's own, see lib/keys.lua
-- ARGV[1-2]      clock, tag
-- ARGV[3] group  (text)
-- ARGV[4] word   (text)  flags · aside · empty, see lib/group.lua
-- ARGV[5] seen   (text)
-- ARGV[6] right  (text)
-- Returns 1 corrected, by this call or before · 0 it is another one by now
-- Complexity O(under way + log due)
--@include keys clock write entry
local group, word, seen, right = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local g = open_group(group)
if g[word] ~= seen then
  return g[word] == right and 1 or 0
end
g[word] = right
write_group(group, g)
redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
return 1
