-- advance: a due ETA joins the line of its group, or a walk over empty places goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12-] lists   (list)  the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] member    (text)  of due
-- ARGV[4] group     (text)
-- ARGV[5] named     (count) lists
-- ARGV[6-] queues   (text)  their names
-- Returns {[queue, message]}: to publish
-- Complexity O(log groups)
--@include keys flight release advance
local waiting, group_key, member, group, count = KEYS[10], KEYS[11], ARGV[3], ARGV[4], tonumber(ARGV[5])

if redis.call('ZREM', K.due, member) == 0 then
  return {} -- somebody else did it
end
local kind = string.sub(member, 1, 1)
if kind == 'e' then
  local id = string.match(member, '%S+$')
  local entry, corrupt = read_entry(id)
  if entry then
    redis.call('RPUSH', waiting, entry.us .. ' ' .. id)
  elseif corrupt then
    bury(id, group, 'corrupt', corrupt)
    leave(group)
  end
elseif kind == 'x' then
  land(group_key, string.match(member, '%S+$'))
end
local out = {}
advance(named_lists(12, 6, count), waiting, group_key, group, out)
return out
