-- revoke: an entry that does not run yet is taken out; the group goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12] producer (string) "<last number>" of the caller
-- ARGV[1-2]         clock, tag
-- ARGV[3] id        (text)
-- ARGV[4] group     (text)
-- ARGV[5] number    (count) of this caller's calls, from 1
-- ARGV[6] keep      (ms)    how long the caller's number is remembered
-- Returns {1, [queue, message]...} taken out, by this very call, now or before; to publish · {0} unknown
--         · {2} it runs
-- Complexity O(log groups): its place in the list stays, empty, until the walk comes by
--@include keys flight release advance
local waiting, group_key, producer = KEYS[10], KEYS[11], KEYS[12]
local id, group, count, keep = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]

if count <= tonumber(redis.call('GET', producer) or 0) then
  return { 1 } -- the reply was lost
end
local entry = read_entry(id)
if not entry or entry.group ~= group then -- one that nobody can read is buried when its turn comes
  return { 0 }
end
local r = read_flight(id)
if r and r.state == 'running' then
  return { 2 }
end
local out = {}
redis.call('HDEL', K.entries, id)
redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. id)
redis.call('SET', producer, ARGV[5], 'PX', keep)
leave(group)
redis.call('HINCRBY', K.stats, 'revoked', 1)
if r then
  redis.call('HDEL', K.flight, id)
  redis.call('ZREM', K.due, 'h ' .. id)
  redis.call('ZREM', K.rung, r.queue .. ' ' .. r.fence .. ' ' .. id)
  land(group_key, id)
end
advance({}, waiting, group_key, group, out)
return { 1, unpack(out) }
