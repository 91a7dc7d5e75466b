-- redrive: make a dead letter an entry of its group again.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] waiting  (list)   of the group
-- KEYS[13] group    (hash)
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] id        (text)
-- ARGV[7] letter    (bytes)  as it stands among the dead letters
-- ARGV[8] entry     (bytes)  its text, without the time it was parked
-- ARGV[9] head      (0 | 1)  it is the next one; else the last one
-- Returns {1, [queue, message]...} parked; to publish · {0} there is no such letter (any more)
--         · {-1} the id is parked or running already · {-2} the group is draining
-- Complexity O(dead letters)
--@include keys advance once operate
local audit, waiting, group_key = KEYS[10], KEYS[12], KEYS[13]
local group, id, letter, entry, head = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]

if redis.call('HEXISTS', K.entries, id) == 1 then
  return { -1 }
end
if redis.call('HEXISTS', group_key, 'draining') == 1 then
  return { -2 }
end
if redis.call('LREM', K.dead, 1, letter) == 0 then
  return { 0 }
end
local out, us = {}, K.us_text
redis.call('HSET', K.entries, id, us .. ' ' .. entry)
if head == '1' then
  redis.call('LPUSH', waiting, us .. ' ' .. id)
else
  redis.call('RPUSH', waiting, us .. ' ' .. id)
end
redis.call('ZINCRBY', K.depth, 1, group)
redis.call('HINCRBY', K.stats, 'tasks_redriven', 1)
advance({}, waiting, group_key, group, out)
note(audit, ARGV[3])
return keep_answer({ 1, unpack(out) })
