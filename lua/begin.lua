-- begin: give the lease to a worker that received a ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] fence   (number)  of the ticket
-- ARGV[5] owner   (text)    the worker
-- ARGV[6] call    (text)    this call's own name
-- ARGV[7] ttl     (ms)
-- Returns {1, group} begun (by this call, now or before) · {0} the ticket is stale
-- Complexity O(log leases)
--@include flight burial
local id, fence, owner, call, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

local group = begin_run(id, fence, owner, call, ttl, true)
if group then
  return { 1, group }
end
local r = read_or_bury(id)
if r and r.fence == fence and r.state == 'running' and r.owner == owner and r.call == call then
  return { 1, r.group }
end
return { 0 }
