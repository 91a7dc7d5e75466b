-- ages: since when the oldest entry of each group waits. It only reads.
--
-- KEYS[1-9]      the gate's own, see lib/keys.lua
-- KEYS[10-] w, g          pairs of (list), (hash): waiting and group of each
-- ARGV[1-2]      clock, tag
-- ARGV[3] count  (count)  keys
-- ARGV[4-] group (text)   twice for each
-- Returns for each group when its oldest entry in line was parked (ms); without one: since when its head is in
--         its state; else 0
-- Complexity O(groups)
--@include keys flight release advance operate
local count = tonumber(ARGV[3])

named_lists(10, 4, count) -- they are KEYS[10] on, by pairs
local found = {}
for i = 10, 9 + count, 2 do
  local waiting, group_key = KEYS[i], KEYS[i + 1]
  local since = string.match(redis.call('LINDEX', waiting, 0) or '', '^(%d+)%d%d%d ')
  if not since then
    local id = in_flight(group_key)[1]
    local r = id and read_flight(id)
    since = r and r.since
  end
  found[#found + 1] = tonumber(since or 0)
end
return found
