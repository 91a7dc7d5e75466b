-- resume: let a paused group go on where it stood, and a draining one take new entries again.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)  the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] paused   (zset)  paused group -> since (ms)
-- KEYS[13] line     (list)  of the group
-- KEYS[14] wake     (list)  wakes one sweeping worker: a task with several keys may go out
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)  for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- Returns {1, [queue, message]...} resumed; to publish · {0} it was neither paused nor draining
-- Complexity O(under way)
--@include flag entry resume advance once operate bell stand_in
local audit, paused, line, wake = KEYS[10], KEYS[12], KEYS[13], KEYS[14]
local group = ARGV[5]

local g, out = open_group(group), {}
if not has_flag(g, 'p') and not has_flag(g, 'd') then
  return { 0 }
end
clear_flag(group, g, 'p')
clear_flag(group, g, 'd')
redis.call('ZREM', paused, group)
for at = #g, 1, -1 do
  local r = g[at]
  if r.stop == 'p' then
    r.stop = '-'
    if r.state ~= 'r' then
      resume({}, group, g, r, out)
    end
  end
end
advance({}, line, group, g, out)
local sweeps = needs_sweep()
if sweeps then
  ring(wake)
end
note(audit, ARGV[3])
return keep_answer({ 1, unpack(out) })
