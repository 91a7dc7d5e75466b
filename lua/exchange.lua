-- exchange: give a parked entry a new message. It keeps its place, and the time of its ETA. With another id it becomes
-- that task's entry, and the task that had the place never starts.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] line      (list)    of the group
-- KEYS[11] producer  (string)  "<last number>" of this producer, then id and text of the entry that lost its place
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)
-- ARGV[5]  queue     (text)
-- ARGV[6]  cut       (bytes)   where the message's second ticket goes
-- ARGV[7]  message   (bytes)
-- ARGV[8]  number    (count)   of this producer's calls, from 1
-- ARGV[9]  keep      (ms)      how long the producer's number is remembered
-- ARGV[10] limits    (text)    of the new call, see lib/limits.lua; empty: none
-- ARGV[11] old       (text)    the parked entry
-- ARGV[12] identity  (text)    of both; absent: the id
-- ARGV[13] after     (ms)      how long it counts after the end; absent with `identity`
-- Returns {1} done, now or before · {1, old, entry} done, and the entry that lost its place
--         · {0} there is no old one, or it has no place · {-1} it is under way, or in another group
--         · {-2} another entry has the id, or the old one has several keys
-- Complexity O(1); O(log places) with another id, O(places) where the old one is not in the order of parking
--@include keys record flag entry identity number claim duplicate renamed said
local line, producer = KEYS[10], KEYS[11]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local number, keep, limits, old, identity, after = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]

local last, repeated = keep_number(producer, number, keep)
if repeated then
  local name, text = string.match(last, ' (%S+) (.*)')
  return { 1, name, text }
end
local g = open_group(group)
local entry, name = read_entry(old), old
local refused = not entry and 0 or (entry.group ~= group or record_of(g, old)) and -1 or nil
if not refused and has_flag(g, 'k') and redis.call('HEXISTS', K.begins, 'k ' .. old) == 1 then
  refused = -2
end
if not refused and string.match(old, '^[^;]*') ~= id then
  name = free_name(g, id)
  local placed = name and rename_place(line, group, g, entry.us, old, name)
  refused = not name and -2 or not placed and 0 or nil
  if refused == 0 then
    free_identity(old, group, g, false) -- it is cut off its line, and ends soon
  end
end
if refused then
  restore_number(producer, last, keep, number, '') -- a repetition gets this answer, too
  return { refused }
end
local out = { 1 }
if name ~= old then
  redis.call('HDEL', K.entries, old)
  redis.call('HINCRBY', K.stats, 'tasks_removed', 1)
  redis.call('HINCRBY', K.stats, 'tasks_revoked', 1)
  free_identity(old, group, g, false)
  claim(group, g, identity, after, name)
  redis.call('SET', producer, table.concat({ number, old, entry.text }, ' '), 'PX', keep) -- for a repetition
  out[2], out[3] = old, entry.text
end
local due = string.match(entry.limits, ' l%d+/%d+/%d+(/%d+)')
if due and not string.find(' ' .. limits, ' l') then
  limits = (limits == '' and '' or limits .. ' ') .. 'l0/0/0'
end
limits = limits .. (due or '')
local head = table.concat({ entry.us, group, queue, cut }, ' ') .. limits_text(limits)
redis.call('HSET', K.entries, name, head .. '\n' .. message)
return out
