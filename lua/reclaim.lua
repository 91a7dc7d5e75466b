-- reclaim: take back the heads of a worker whose lease is over, or that has ended.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] lost     (hash)    the runs of that worker, see lib/run.lua
-- KEYS[11] runs     (hash)    of the caller
-- KEYS[12-] lists   (list)    the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] owner     (text)    that worker
-- ARGV[4] silent    (0 | 1)   nothing is done when its lease was renewed meanwhile, and each head counts as lost once
--                             more; 0: it gives them back itself
-- ARGV[5] limit     (count)   lanes
-- ARGV[6] call      (text)    the same one until an answer has come
-- ARGV[7] keep      (ms)      how long the calls of a silent worker are remembered
-- ARGV[8] named     (count)   lists
-- ARGV[9-] queues   (text)    their names
-- Returns {more, reclaimed, [queue, message]...}: 1 when lanes are left · number of heads · to publish
-- Complexity O(limit · log on_the_way)
--@include keys clock write record entry release resume follow again begins
local BYTES = 262144 -- of messages that one call moves; and one message more
local lost, runs, owner, silent = KEYS[10], KEYS[11], ARGV[3], ARGV[4] == '1'
local limit, call, keep, named = tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8])

local lists, out, reclaimed, seen, bytes, more = named_lists(12, 9, named), {}, 0, 0, 0, 0
local asked = names_again(runs, 'reclaim', call, lists, out)
local renewed = silent and redis.call('ZSCORE', K.due, 'w ' .. owner)
local lanes = renewed and {} or redis.call('HGETALL', lost)
for i = 1, #lanes, 2 do
  local group, id = string.match(lanes[i + 1], '^%S+ (%S+) (%S+) %S+$')
  local g = group and string.find(lanes[i], '^%d+$') and open_group(group)
  local r = g and record_of(g, id)
  if r and r.state == 'r' and r.owner == owner then
    if seen == limit or bytes >= BYTES then
      more = 1
      break
    end
    local before = #out
    bytes, seen = bytes + redis.call('HSTRLEN', K.entries, id), seen + 1
    if silent then
      r.lost, reclaimed = digits(r.lost + 1), reclaimed + 1
    end
    free_group(group)
    note_begin(group, g, r)
    leave_followers(g, r, silent and 1 or 0)
    resume(lists, group, g, r, out, true)
    asked = #out > before and asked .. ' ' .. id or asked
  end
end
if more == 0 then
  redis.call('ZREM', K.due, 'v ' .. owner)
  if not silent then
    redis.call('ZREM', K.due, 'w ' .. owner)
    redis.call('DEL', lost)
  end
  if silent and not renewed then
    redis.call('PEXPIRE', lost, keep)
  end
  for i = 1, silent and #lanes or 0, 2 do -- the answers stay, for a worker that lives and repeats its calls
    if string.find(lanes[i], '^%d+$') then
      redis.call('HSET', lost, 'a' .. lanes[i], lanes[i + 1])
      redis.call('HDEL', lost, lanes[i])
    end
  end
end
remember(runs, 'reclaim', call, asked, keep)
if reclaimed > 0 then
  redis.call('HINCRBY', K.stats, 'tasks_reclaimed', reclaimed)
end
return { more, reclaimed, unpack(out) }
