-- lease: read the time left of a run's lease.
--
-- KEYS[1-9]      the gate's own, see lib/keys.lua
-- ARGV[1-2]      clock, tag
-- ARGV[3] id     (text)
-- ARGV[4] fence  (number)
-- Returns the ms left, 0 when it is over but not reclaimed; -1: lost
-- Complexity O(1)
--@include keys flight
local id, fence = ARGV[3], ARGV[4]

local r = read_flight(id)
if not r or r.state ~= 'running' or r.fence ~= fence then
  return -1
end
return math.max(math.floor(tonumber(redis.call('ZSCORE', K.due, 'l ' .. id) or K.ms) - K.ms), 0)
