-- pause: let no entry of the group start until it is resumed. A running one goes on; a released or held one stays at
-- the head.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] audit   (list)  the actions of operators, newest first
-- KEYS[11] answer  (string) of this action's last call
-- KEYS[12] paused  (zset)  paused group -> since (ms)
-- KEYS[13] wake    (list)  wakes one sweeping worker: a tenant's next head may go out
-- ARGV[1-2]        clock, tag
-- ARGV[3] note     (text)  for the audit
-- ARGV[4] call     (number) of this action, from 1
-- ARGV[5] group    (text)
-- ARGV[6] flag     (text)  operator and reason: JSON, open for the time
-- Returns {1} paused · {2} it was already; reason and operator are replaced
-- Complexity O(under way)
--@include clock write flag entry once operate halt freed bell
local audit, paused, wake = KEYS[10], KEYS[12], KEYS[13]
local group, flag = ARGV[5], ARGV[6]

local g = open_group(group)
local new = set_flag(group, g, 'p', stamped(flag)) and 1 or 0
redis.call('ZADD', paused, now_ms(), group)
for _, r in ipairs(g) do
  call_in(group, g, r)
  r.due = r.stop == 'l' and '-' or r.due -- its group's rate is asked again
  r.stop = (r.stop == 'b' or r.stop == 'f') and r.stop or 'p'
end
write_group(group, g)
if freed then
  ring(wake)
end
note(audit, ARGV[3])
return keep_answer({ 2 - new })
