-- begin: give the lease, with a new fence, to a worker that received a ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] drawn   (number)  of the ticket's release
-- ARGV[5] owner   (text)    the worker
-- ARGV[6] call    (text)    this call's own name
-- ARGV[7] ttl     (ms)
-- Returns {1, fence} begun, by this call, now or before · {0} the ticket is stale
-- Complexity O(log leases)
--@include flight unreadable
local id, drawn, owner, call, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

local fence = begin_run(id, drawn, owner, call, ttl, true)
if fence then
  return { 1, fence }
end
local r = read_or_set_aside(id)
if r and r.release == drawn and r.state == 'running' and r.owner == owner and r.call == call then
  return { 1, r.fence }
end
return { 0 }
