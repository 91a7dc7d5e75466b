-- retry: release a waiting or blocked head now.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] audit  (list)  the actions of operators, newest first
-- KEYS[11] answer (string) of this action's last call
-- KEYS[12] group  (hash)
-- ARGV[1-2]       clock, tag
-- ARGV[3] note    (text)  for the audit
-- ARGV[4] call    (number) of this action, from 1
-- Returns {1, [queue, message]...} released; to publish · {-1} no head is held · {-2} the group is paused
-- Complexity O(in flight · log due)
--@include keys unreadable resume once operate
local audit, group_key = KEYS[10], KEYS[12]

local paused = redis.call('HEXISTS', group_key, 'paused') == 1
local out, held, stopped = {}, 0, 0
for _, id in ipairs(in_flight(group_key)) do
  local r = read_or_set_aside(id)
  if r and r.state == 'held' and (r.stop == 'p' or paused) then
    stopped = stopped + 1
  elseif r and r.state == 'held' then
    held = held + 1
    redis.call('ZREM', K.due, 'h ' .. id)
    if r.stop == 'b' then -- it may be lost as often as any other
      redis.call('HDEL', group_key, 'blocked')
      r.lost = '0'
    end
    r.due, r.stop = '-', '-'
    resume({}, id, r, out)
  end
end
if held == 0 then
  return { stopped > 0 and -2 or -1 }
end
note(audit, ARGV[3])
return keep_answer({ 1, unpack(out) })
