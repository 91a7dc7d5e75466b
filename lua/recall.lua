-- recall: put an entry that is under way beside others of its group back to the front of its line, unless it runs.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] waiting (list)  of the group
-- KEYS[11] group   (hash)
-- ARGV[1-2]        clock, tag
-- ARGV[3] id       (text)
-- ARGV[4] limit    (count) of entries that may be under way
-- Returns 1 it stands in its line, by this call or before · 0 it runs, or no others are under way
-- Complexity O(in flight)
--@include keys release unreadable advance operate
local waiting, group_key, id, limit = KEYS[10], KEYS[11], ARGV[3], tonumber(ARGV[4])

local r, entry = read_or_set_aside(id), read_entry(id)
if not entry then
  return 0
end
if not r then
  return 1
end
if r.state == 'running' or #in_flight(group_key) <= limit then
  return 0
end
redis.call('HDEL', K.flight, id)
redis.call('ZREM', K.due, 'h ' .. id, 'r ' .. id)
redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
free_slot(group_key, id)
redis.call('LPUSH', waiting, entry.us .. ' ' .. id)
return 1
