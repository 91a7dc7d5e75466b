-- pause: let no entry of the group start until it is resumed. A running one goes on; a released or held one stays at
-- the head.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] audit   (list)  the actions of operators, newest first
-- KEYS[11] answer  (string) of this action's last call
-- KEYS[12] paused  (zset)  paused group -> since (ms)
-- KEYS[13] group   (hash)
-- ARGV[1-2]        clock, tag
-- ARGV[3] note     (text)  for the audit
-- ARGV[4] call     (number) of this action, from 1
-- ARGV[5] group    (text)
-- ARGV[6] flag     (text)  operator and reason: JSON, open for the time
-- Returns {1} paused · {2} it was already; reason and operator are replaced
-- Complexity O(in flight)
--@include keys flight unreadable once operate
local audit, paused, group_key = KEYS[10], KEYS[12], KEYS[13]
local group, flag = ARGV[5], ARGV[6]

local new = redis.call('HSET', group_key, 'paused', stamped(flag))
redis.call('ZADD', paused, K.ms, group)
for _, id in ipairs(in_flight(group_key)) do
  local r = read_or_set_aside(id)
  if r then
    -- Timeline of a ticket at the broker: it was released, the group is paused, a worker receives it. Its entry is
    -- held, so it is stale; resume releases a new one.
    if r.state == 'released' then
      redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
      redis.call('ZREM', K.due, 'r ' .. id)
      r.state, r.since = 'held', K.ms_text
    end
    redis.call('ZREM', K.due, 'h ' .. id)
    r.stop = r.stop == 'b' and 'b' or 'p'
    write_flight(id, r)
  end
end
note(audit, ARGV[3])
return keep_answer({ 2 - new })
