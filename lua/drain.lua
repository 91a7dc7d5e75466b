-- drain: refuse new entries of a group until its last one has ended. Then it takes them again.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] audit  (list)  the actions of operators, newest first
-- KEYS[11] answer (string) of this action's last call
-- KEYS[12] line    (list) of the group
-- ARGV[1-2]       clock, tag
-- ARGV[3] note    (text)  for the audit
-- ARGV[4] call    (number) of this action, from 1
-- ARGV[5] group   (text)
-- ARGV[6] flag    (text)  operator and reason: JSON, open for the time
-- Returns {1} draining · {2} it was already · {0} it is empty: there is nothing to drain
-- Complexity O(1)
--@include write flag entry once operate record
local audit, line = KEYS[10], KEYS[12]
local group, flag = ARGV[5], ARGV[6]

local g = open_group(group)
if depth_of(line, g) == 0 then
  return { 0 }
end
local new = set_flag(group, g, 'd', stamped(flag)) and 1 or 0
write_group(group, g)
note(audit, ARGV[3])
return keep_answer({ 2 - new })
