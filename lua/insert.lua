-- insert: let the next part of a run's canvas take the place directly behind that run, before the whole line. Further
-- parts of the same run join behind the one before, in the order in which they were sent.
--
-- Nothing goes out here: the run is under way, and its end releases the part. A part is no new task, so a group that is
-- full or drains takes it.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] line      (list)    of the group
-- KEYS[11] producer  (string)  "<last number> <place>" of this run: the part that it has sent last
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)    of the part and of the run
-- ARGV[5]  queue     (text)
-- ARGV[6]  cut       (bytes)   where the message's second ticket goes
-- ARGV[7]  message   (bytes)
-- ARGV[8]  number    (count)   of this run's parts, from 1
-- ARGV[9]  keep      (ms)      how long the last part is remembered
-- ARGV[10] run       (text)    the entry that is under way
-- ARGV[11] limits    (text)    of the part, see lib/limits.lua; empty: none
-- Returns {1} it stands there, by this call, now or before, or by an earlier run of the same task · {0} nothing was
--         done: the run has ended, or the id has another place. The caller parks it.
-- Complexity O(1) for one part, O(parts) where earlier ones of the same run are in line
--@include keys record entry said
local line, producer = KEYS[10], KEYS[11]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local number, keep, run = ARGV[8], ARGV[9], ARGV[10]

local last, before = string.match(redis.call('GET', producer) or '', '^(%d+) (%S+ %S+)$')
if last and tonumber(last) >= tonumber(number) then
  return { 1 } -- the reply was lost
end
local g = open_group(group)
local entry, corrupt = read_entry(id)
local elsewhere = corrupt or entry and (entry.group ~= group or record_of(g, id))
if elsewhere or not record_of(g, run) then
  return { 0 }
end
-- Timeline of one that is known: a run sends it, its worker is lost, the task runs again and sends it again.
local place = (entry and entry.us or K.us_text) .. ' ' .. id
if not entry then
  -- The place is written first: a foreign key of the line's name stops the script before any other write.
  if not before or redis.call('LINSERT', line, 'AFTER', before, place) < 1 then
    redis.call('LPUSH', line, place)
  end
  local head = table.concat({ K.us_text, group, queue, cut }, ' ') .. limits_text(ARGV[11])
  redis.call('HSET', K.entries, id, head .. '\n' .. message)
end
redis.call('SET', producer, number .. ' ' .. place, 'PX', keep)
return { 1 }
