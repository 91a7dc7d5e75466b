-- lines: read the lines of groups, and the fields of their hashes.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10-] places  (list)   waiting, and group (hash), of each group
-- ARGV[1-2]         clock, tag
-- ARGV[3] first     (count)  places of a line, from its head
-- ARGV[4] most      (count)  places in one answer; and those of one line more
-- Returns {count, JSON}: of groups, the first ones, as many as have so many places · for each [fields, places]
-- Complexity O(groups + most)
local first, most = tonumber(ARGV[3]), tonumber(ARGV[4])

local found, places = {}, 0
for i = 10, #KEYS, 2 do
  local line = redis.call('LRANGE', KEYS[i], 0, first - 1)
  found[#found + 1] = { redis.call('HKEYS', KEYS[i + 1]), line }
  places = places + #line
  if places >= most then
    break
  end
end
return { #found, cjson.encode(found) }
