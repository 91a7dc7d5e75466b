-- move: move entries from the head of one line to the tail of another, in their order.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] line     (list)   of the old group
-- KEYS[13] new_line  (list)   of the new group
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)   the old one
-- ARGV[6] new       (text)   the new one
-- ARGV[7-] us, id, entry     of each place that the caller saw; the entry's text for the new group,
--                                  or '' where the place is empty
-- Returns {count, [queue, message]...} moved; to publish · {-1} the new group is draining
--         · {-2, id} this task has places in other groups, too: nothing was moved
-- Complexity O(entries)
--@include keys record flag entry claim advance once operate
local audit, line, new_line = KEYS[10], KEYS[12], KEYS[13]
local group, new = ARGV[5], ARGV[6]

local g, into = open_group(group), open_group(new)
if has_flag(into, 'd') then
  return { -1 }
end
for i = 7, #ARGV, 3 do
  local id = ARGV[i + 1]
  local several = string.find(id, ';k', 1, true) or redis.call('HEXISTS', K.begins, 'k ' .. id) == 1
  if has_flag(g, 'k') and several and redis.call('HEXISTS', K.entries, id) == 1 then
    return { -2, id }
  end
end
local moved, out = 0, {}
for i = 7, #ARGV, 3 do
  local us, id, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  -- Timeline: the caller saw the line, a run ended, its group's next head left the line. An
  -- entry that is not the first any more has gone on by itself.
  local stands = text_in_line(us, id)
  if redis.call('LINDEX', line, 0) == us .. ' ' .. id and (text ~= '' or not stands) then
    redis.call('LPOP', line)
    if stands then
      redis.call('RPUSH', new_line, us .. ' ' .. id)
      redis.call('HSET', K.entries, id, text)
      move_identity(id, group, g, new, into)
      moved = moved + 1
    else
      add_to(g, 'empty', -1)
    end
  end
end
advance({}, line, group, g, out)
advance({}, new_line, new, into, out)
if moved > 0 then
  note(audit, ARGV[3])
end
return keep_answer({ moved, unpack(out) })
