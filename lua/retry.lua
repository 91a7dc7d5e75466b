-- retry: release a waiting or blocked head now.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] audit  (list)  the actions of operators, newest first
-- KEYS[11] answer (string) of this action's last call
-- ARGV[1-2]       clock, tag
-- ARGV[3] note    (text)  for the audit
-- ARGV[4] call    (number) of this action, from 1
-- ARGV[5] group   (text)
-- Returns {1, [queue, message]...} released; to publish · {-1} no head is held · {-2} the group is paused
-- Complexity O(under way · log due)
--@include keys write flag entry resume once operate said freed halt
local audit, group = KEYS[10], ARGV[5]

local g = open_group(group)
local paused, out, held, stopped = has_flag(g, 'p'), {}, 0, 0
if not paused and is_blocked(g) then
  clear_flag(group, g, 'b')
end
for at = #g, 1, -1 do
  local r = g[at]
  if r.state == 'h' and (r.stop == 'p' or paused) then
    stopped = stopped + 1
  elseif r.state == 'h' and r.stop ~= 'f' and r.stop ~= 's' then
    held = held + 1
    redis.call('ZREM', K.due, 'h ' .. group .. ' ' .. r.id, 'b ' .. group .. ' ' .. r.id)
    if r.stop == 'b' then -- it may be lost as often as any other
      r.lost = '0'
    end
    if r.stop == 'l' then
      forget_eta(r.id)
    end
    if r.stop == 't' then -- as if it were its turn
      leave_turn(group, r)
      r.state = 'w'
    end
    r.due, r.stop = '-', '-'
    if at > 1 and not has_flag(g, 'n') then -- calls of one batch have failed: they go out one after the other
      r.stop = 'f'
      write_group(group, g)
    else
      resume({}, group, g, r, out)
    end
  end
end
if held == 0 then
  return { stopped > 0 and -2 or -1 }
end
note(audit, ARGV[3])
return keep_answer({ 1, unpack(out) })
