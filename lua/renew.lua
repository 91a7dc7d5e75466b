-- renew: extend the lease of a worker, in one heartbeat; also one that is over, until the heads are taken back.
--
-- Timeline of a run that its worker has forgotten: the run begins, an error loses it between two parts of the worker,
-- the worker lives on, and its lease with it. So a run in a lane that the worker does not name is told, when it has
-- begun a lease's time ago. A free lane may name an entry that went back, and runs in another lane by now.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] runs   (hash)    of this worker
-- ARGV[1-2]       clock, tag
-- ARGV[3] owner   (text)
-- ARGV[4] ttl     (ms)
-- ARGV[5-] lane, group, id, name  of each run: its fence; while its begin is not answered yet, the name of that call
-- Returns {count, place..., [group, id, fence]...}: places, from 0, of the runs that the worker has lost · those that
--         it has forgotten
-- Complexity O(runs + log due)
--@include keys clock record entry
local runs, owner, ttl = KEYS[10], ARGV[3], tonumber(ARGV[4])

local reply, named = { 0 }, {}
redis.call('ZADD', K.due, now_ms() + ttl, 'w ' .. owner)
for i = 5, #ARGV, 4 do
  local r, name = record_of(open_group(ARGV[i + 1]), ARGV[i + 2]), ARGV[i + 3]
  named[ARGV[i]] = true
  if not r or r.state ~= 'r' or (r.fence ~= name and r.call ~= name) then
    reply[#reply + 1] = (i - 5) / 4
  end
end
reply[1] = #reply - 1
local lanes = redis.call('HGETALL', runs)
for i = 1, #lanes, 2 do
  local begun, group, id = string.match(lanes[i + 1], '^(%S+) (%S+) (%S+) %S+$')
  local r = group and string.find(lanes[i], '^%d+$') and not named[lanes[i]] and record_of(open_group(group), id)
  if r and r.state == 'r' and r.owner == owner and r.call == begun and now_ms() - r.since >= ttl then
    for _, word in ipairs({ group, id, r.fence }) do
      reply[#reply + 1] = word
    end
  end
end
return reply
