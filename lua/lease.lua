-- lease: read the time left of the lease under which a run has its group.
--
-- KEYS[1-9]      the gate's own, see lib/keys.lua
-- ARGV[1-2]      clock, tag
-- ARGV[3] id     (text)
-- ARGV[4] group  (text)
-- ARGV[5] fence  (number)
-- Returns the ms left, 0 when it is over and the head not taken back; -1: lost
-- Complexity O(1)
--@include keys clock group run
local id, group, fence = ARGV[3], ARGV[4], ARGV[5]

local r = running(read_group(group), id, fence)
if not r then
  return -1
end
return math.max(math.floor(tonumber(redis.call('ZSCORE', K.due, 'w ' .. r.owner) or now_ms()) - now_ms()), 0)
