-- revoke: an entry that does not run yet is taken out; the group goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12] list     (list)  of the next head's queue, when the caller knows it
-- ARGV[1-2]         clock, tag
-- ARGV[3] id        (text)
-- ARGV[4] group     (text)
-- ARGV[5] queue     (text)
-- Returns {1, entry, [queue, message]...} taken out; its text; to publish · {0} unknown · {2} it runs
-- Complexity O(log groups): its place in the list stays, empty, until the walk comes by
--@include keys flight release advance
local waiting, group_key, list = KEYS[10], KEYS[11], KEYS[12]
local id, group, queue = ARGV[3], ARGV[4], ARGV[5]

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
leave(group)
redis.call('HINCRBY', K.stats, 'revoked', 1)
if r then
  redis.call('HDEL', K.flight, id)
  redis.call('ZREM', K.due, 'h ' .. id)
  redis.call('ZREM', K.rung, r.queue .. ' ' .. r.fence .. ' ' .. id)
  land(group_key, id)
  advance({ [queue] = list }, waiting, group_key, group, out)
end
return { 1, entry.text, unpack(out) }
