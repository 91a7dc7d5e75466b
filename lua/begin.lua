-- begin: let a worker that received a ticket run its task, with a new fence.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] runs   (hash)    of the worker, see lib/run.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] group   (text)
-- ARGV[5] drawn   (number)  of the ticket's release
-- ARGV[6] owner   (text)    the worker
-- ARGV[7] lane    (number)  of the worker; no other run is in it
-- ARGV[8] call    (text)    this call's own name
-- ARGV[9] ttl     (ms)      of the worker's lease
-- Returns {1, fence, [member]} begun, by this call, now or before · {5, ...} the same, and advance may let another
--         entry of the group go on beside it · {0} the ticket is stale. member: of due, with which advance lets the
--         tenant's next head go out
-- Complexity O(log due)
--@include keys clock write record entry run forgotten invite freed flag
local runs, id, group, drawn = KEYS[10], ARGV[3], ARGV[4], ARGV[5]
local owner, lane, call, ttl = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])

local g = open_group(group)
local fence = begin_run(group, g, id, drawn, owner, call, true)
if fence then
  write_group(group, g)
  redis.call('ZADD', K.due, now_ms() + ttl, 'w ' .. owner)
  keep_forgotten(runs, lane, owner)
  keep_lane(runs, lane, call .. ' ' .. group .. ' ' .. id .. ' -', owner, ttl)
  look_now()
  return { 1 + invite(group, g), fence, freed and 'f ' .. freed }
end
local r = record_of(g, id)
if r and r.release == drawn and r.state == 'r' and r.owner == owner and r.call == call then
  if has_flag(g, 'f') then
    leave_turn(group, r)
  end
  look_now()
  return { 1 + invite(group, g), r.fence, freed and 'f ' .. freed }
end
return { 0 }
