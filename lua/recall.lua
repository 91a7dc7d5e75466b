-- recall: put an entry that is under way beside others of its group back to the front of its line, unless it runs.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] id       (text)
-- ARGV[4] group    (text)
-- ARGV[5] limit    (count) of entries that may be under way
-- Returns 1 it stands in its line, by this call or before · 0 it runs, or no others are under way
-- Complexity O(under way)
--@include keys write record flag entry freed
local line, id, group, limit = KEYS[10], ARGV[3], ARGV[4], tonumber(ARGV[5])

local g = open_group(group)
local r, entry = record_of(g, id), read_entry(id)
if not entry then
  return 0
end
if not r then
  return 1
end
if r.state == 'r' or #g <= limit then
  return 0
end
redis.call('ZREM', K.due, 'h ' .. group .. ' ' .. id, 'r ' .. group .. ' ' .. id)
redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
if has_flag(g, 'f') then
  leave_turn(group, r)
  look_now()
end
remove_record(g, id)
redis.call('LPUSH', line, entry.us .. ' ' .. id)
write_group(group, g)
return 1
