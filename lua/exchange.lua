-- exchange: give a parked entry a new message. It keeps its place, and the time of its ETA.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] producer  (string)  "<last number>" of this producer
-- ARGV[1-2]          clock, tag
-- ARGV[3] id         (text)
-- ARGV[4] group      (text)
-- ARGV[5] queue      (text)
-- ARGV[6] cut        (bytes)   where the message's second ticket goes
-- ARGV[7] message    (bytes)
-- ARGV[8] number     (count)   of this producer's calls, from 1
-- ARGV[9] keep       (ms)      how long the producer's number is remembered
-- ARGV[10] limits    (text)    of the new call, see lib/limits.lua; absent: none
-- Returns {1} done, now or before · {0} unknown · {-1} it is under way, or in another group
-- Complexity O(1)
--@include keys record entry number
local producer = KEYS[10]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local number, keep = ARGV[8], ARGV[9]

local last, repeated = keep_number(producer, number, keep)
if repeated then
  return { 1 }
end
local entry = read_entry(id)
if not entry or entry.group ~= group or record_of(open_group(group), id) then
  restore_number(producer, last, keep) -- a repetition gets this answer, too
  return { entry and -1 or 0 }
end
redis.call('HSET', K.entries, id, table.concat({ entry.us, group, queue, cut, ARGV[10] }, ' ') .. '\n' .. message)
return { 1 }
