-- redrive: make a dead letter an entry of its group again.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] line     (list)   of the group
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] id        (text)
-- ARGV[7] letter    (number) of the letter
-- ARGV[8] head      (0 | 1)  it is the next one; else the last one
-- ARGV[9] after     (text)   entry that it follows, with head: this action has redriven it before; empty: none
-- Returns {1, [queue, message]...} parked; to publish · {0} there is no such letter (any more)
--         · {-1} the id is parked or running already · {-2} the group is draining
--         · {-3} it has several keys
-- Complexity O(1), with `after` and the places that this action has put before it
--@include keys flag letters_out entry advance once operate
local audit, line = KEYS[10], KEYS[12]
local group, id, number, head, after = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local WALKED = 20000 -- places among which the one before is looked for

local g = open_group(group)
if redis.call('HEXISTS', K.entries, id) == 1 then
  return { -1 }
end
if has_flag(g, 'd') then
  return { -2 }
end
local text = text_of_letter(number)
if not text then
  return { 0 }
end
if string.find(text, '"groupfifo_keys": ', 1, true) then
  return { -3 }
end
remove_letter(number)
local out, us = {}, K.us_text
redis.call('HSET', K.entries, id, us .. string.sub(text, string.find(text, ' ', 1, true) or 1))
local item = us .. ' ' .. id
if head ~= '1' then
  redis.call('RPUSH', line, item)
else
  local parked = after ~= '' and string.match(redis.call('HGET', K.entries, after) or '', '^%d+')
  local before = parked and parked .. ' ' .. after
  if before and redis.call('LPOS', line, before, 'MAXLEN', WALKED) then
    redis.call('LINSERT', line, 'AFTER', before, item)
  else -- there is none, or it has gone out
    redis.call('LPUSH', line, item)
  end
end
redis.call('HINCRBY', K.stats, 'tasks_redriven', 1)
advance({}, line, group, g, out)
note(audit, ARGV[3])
return keep_answer({ 1, unpack(out) })
