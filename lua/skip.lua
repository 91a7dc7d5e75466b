-- skip: take out the head of a group, if it is the one that the caller saw and does not run; the next one goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)  the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] waiting  (list)  of the group
-- KEYS[13] group    (hash)
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)  for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] id        (text)  of the task that is the head, as the caller saw it
-- ARGV[7] reason    (text)  why it goes to the dead letters; empty: it does not
-- Returns {1, entry, [queue, message]...} taken out; its text, or '' of one that had failed; to publish
--         · {0} empty places were dropped: again
--         · {-1} the group is empty · {-2, head} another one is the head · {-3} it runs
-- Complexity O(in flight + log groups)
--@include release unreadable advance once operate
local audit, waiting, group_key = KEYS[10], KEYS[12], KEYS[13]
local group, id, reason = ARGV[5], ARGV[6], ARGV[7]

local ids, name = in_flight(group_key), nil
for _, each in ipairs(ids) do
  name = task_of(each) == id and each or name
end
if #ids == 0 then -- it is paused: the head is the first in line
  for _ = 1, steps do
    local item = redis.call('LINDEX', waiting, 0)
    if not item then
      return { -1 }
    end
    local us, first = string.match(item, '^(%d+) (.*)$')
    if text_in_line(us, first or '') then
      ids, name = { first }, task_of(first) == id and first or nil
      break
    end
    redis.call('LPOP', waiting)
  end
  if #ids == 0 then
    return { 0 }
  end
end
if not name then
  return { -2, ids[1] }
end
local r = read_or_set_aside(name)
if r and r.state == 'running' then
  return { -3 }
end
if not r then
  redis.call('LPOP', waiting)
end
local out, text, failed = {}, withdraw(name, group_key, group)
if reason ~= '' then
  set_aside(name, group, reason, text)
end
advance({}, waiting, group_key, group, out)
note(audit, ARGV[3])
return keep_answer({ 1, failed and '' or text, unpack(out) })
