-- revoke: take out an entry that does not run yet; the group goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12] producer (string) "<last number>" of the caller
-- KEYS[13] audit    (list)   the actions of operators, newest first
-- ARGV[1-2]         clock, tag
-- ARGV[3] id        (text)
-- ARGV[4] group     (text)
-- ARGV[5] number    (count) of this caller's calls, from 1
-- ARGV[6] keep      (ms)    how long the caller's number is remembered
-- ARGV[7] note      (text)  for the audit; empty: no operator does it
-- Returns {1, [queue, message]...} taken out, by this call, now or before; to publish · {0} unknown
--         · {2} it runs
-- Complexity O(log groups): its place in the list stays, empty, until the walk comes by
--@include keys release unreadable advance again operate
local waiting, group_key, producer, audit = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, count, keep = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]

if count <= tonumber(redis.call('GET', producer) or 0) then
  local words = {} -- the reply was lost
  heads_again({}, group_key, words)
  return { 1, unpack(words) }
end
local entry = read_entry(id)
if not entry or entry.group ~= group then -- an unreadable one is set aside when its turn comes
  return { 0 }
end
local r = read_or_set_aside(id)
if r and r.state == 'running' then
  return { 2 }
elseif r and r.stop == 'b' then -- it has failed: retry, skip or drop decide on it
  return { 0 }
end
local out = {}
redis.call('HDEL', K.entries, id)
redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. id)
redis.call('SET', producer, ARGV[5], 'PX', keep)
count_out(group)
redis.call('HINCRBY', K.stats, 'tasks_revoked', 1)
if r then
  redis.call('HDEL', K.flight, id)
  redis.call('ZREM', K.due, 'h ' .. id)
  redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
  free_slot(group_key, id)
end
advance({}, waiting, group_key, group, out)
note(audit, ARGV[7])
return { 1, unpack(out) }
