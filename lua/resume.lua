-- resume: let a paused group go on where it stood, and a draining one take new entries again.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)  the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] paused   (zset)  paused group -> since (ms)
-- KEYS[13] waiting  (list)  of the group
-- KEYS[14] group    (hash)
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)  for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- Returns {1, [queue, message]...} resumed; to publish · {0} it was neither paused nor draining
-- Complexity O(in flight + log groups)
--@include flight unreadable resume advance once operate
local audit, paused, waiting, group_key = KEYS[10], KEYS[12], KEYS[13], KEYS[14]
local group = ARGV[5]

if redis.call('HDEL', group_key, 'paused', 'draining') == 0 then
  return { 0 }
end
redis.call('ZREM', paused, group)
local out = {}
for _, id in ipairs(in_flight(group_key)) do
  local r = read_or_set_aside(id)
  if r and r.stop == 'p' then
    r.stop = '-'
    if r.state == 'running' then
      write_flight(id, r)
    else
      resume({}, id, r, out)
    end
  end
end
advance({}, waiting, group_key, group, out)
note(audit, ARGV[3])
return keep_answer({ 1, unpack(out) })
