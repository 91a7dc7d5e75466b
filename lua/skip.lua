-- skip: take out the head of a group, if it is the one that the caller saw and does not run; the next one goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)  the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] line     (list)  of the group
-- KEYS[13] wake     (list)  wakes one sweeping worker: a tenant or another group may go on
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)  for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] id        (text)  of the task that is the head, as the caller saw it
-- ARGV[7] why       (text)  it goes to the dead letters, see lib/letters.lua; empty: it does not
-- Returns {1, entry, [queue, message]...} taken out; its text, or '' of one that had failed; to publish
--         · {0} empty places were dropped: again
--         · {-1} the group is empty · {-2, head} another one is the head · {-3} it runs
-- Complexity O(under way + empty places)
--@include write record flag entry advance once operate elsewhere withdraw freed bell stand_in
local audit, line, wake = KEYS[10], KEYS[12], KEYS[13]
local group, id, why = ARGV[5], ARGV[6], ARGV[7]

local g, name, first = open_group(group), nil, nil
for _, r in ipairs(g) do
  name = task_of(r.id) == id and r.id or name
  first = first or r.id
end
if not first then -- it is paused: the head is the first in line
  for _ = 1, steps do
    local item = redis.call('LINDEX', line, 0)
    if not item then
      return { -1 }
    end
    local us, entry = string.match(item, '^(%d+) (.*)$')
    if text_in_line(us, entry or '') then
      first, name = entry, task_of(entry) == id and entry or nil
      break
    end
    redis.call('LPOP', line)
    add_to(g, 'empty', -1)
    write_group(group, g)
  end
  if not first then
    return { 0 }
  end
end
if not name then
  return { -2, first }
end
local r = record_of(g, name)
local runs = r and r.state == 'r'
if r and has_flag(g, 'k') then
  runs = runs or runs_elsewhere(name)
end
if runs then
  return { -3 }
end
if not r then
  redis.call('LPOP', line)
end
local out, text, failed, task, of = {}, withdraw(name, group, g)
if why ~= '' then
  set_aside(task, of, why, text)
end
advance({}, line, group, g, out)
local sweeps = needs_sweep() -- other groups of a task that was taken out go on
if freed or sweeps then
  ring(wake)
end
note(audit, ARGV[3])
return keep_answer({ 1, failed and '' or text, unpack(out) })
