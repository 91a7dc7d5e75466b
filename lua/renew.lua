-- renew: extend all leases of a worker, in one heartbeat. A lease that is over but not reclaimed is renewed, too.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] calls  (hash)    of this worker
-- ARGV[1-2]       clock, tag
-- ARGV[3] ttl     (ms)
-- ARGV[4] keep    (ms)      how long the calls of a silent worker are remembered
-- ARGV[5-] id, name         pairs: the run's fence; of a run whose begin is not answered yet, the name of that call
-- Returns the places, from 0, of the runs whose leases are lost
-- Complexity O(leases)
--@include keys unreadable
local calls, ttl, keep = KEYS[10], tonumber(ARGV[3]), ARGV[4]

local lost = {}
for i = 5, #ARGV, 2 do
  local r, name = read_or_set_aside(ARGV[i]), ARGV[i + 1]
  if r and r.state == 'running' and (r.fence == name or r.call == name) then
    redis.call('ZADD', K.due, K.ms + ttl, 'l ' .. ARGV[i])
  else
    lost[#lost + 1] = (i - 5) / 2
  end
end
redis.call('PEXPIRE', calls, keep)
return lost
