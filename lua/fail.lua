-- fail: end a run that has failed for good, by its group's policy (not continue). As finish, without a hand-off.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12] calls    (hash)  caller -> "<call> - [<when its continuation is due, ms>]", of this worker
-- KEYS[13] cancelled (list)  of this run: the entries to cancel
-- KEYS[14-] lists   (list)  the broker's lists that the worker consumes
-- ARGV[1-2]         clock, tag
-- ARGV[3]  id       (text)
-- ARGV[4]  group    (text)
-- ARGV[5]  fence    (number)
-- ARGV[6]  caller   (text)  see finish.lua
-- ARGV[7]  call     (text)  this call's own name
-- ARGV[8]  keep     (ms)    how long the calls of a silent worker are remembered
-- ARGV[9]  policy   (text)  block · dead_letter · cancel_rest
-- ARGV[10] error    (text)  the exception, as text
-- ARGV[11] flag     (text)  for a blocked group: JSON, open for the time
-- ARGV[12] named    (count) lists
-- ARGV[13-] queues  (text)  their names
-- Returns {code, '', 0, due, [queue, message]...} as finish does; code 2: the group is blocked
-- Complexity O(log groups)
--@include keys flight release unreadable resume advance again operate
local waiting, group_key, calls, cancelled = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, fence, caller, call = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local keep, policy, raised, flag, named = ARGV[8], ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])

local r = read_or_set_aside(id)
if not r or r.fence ~= fence or r.state ~= 'running' or r.group ~= group then
  local before, at = string.match(redis.call('HGET', calls, caller) or '', '^(%S+) %S+ ?(%d*)$')
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due = at ~= '' and math.max(tonumber(at) - K.ms, 0) or -1
  local lists, words = named_lists(14, 13, named), {}
  heads_again(lists, group_key, words)
  return { r and r.fence == fence and r.stop == 'b' and 2 or 1, '', 0, due, unpack(words) } -- a repetition of this call
end

local lists, out, code, due = named_lists(14, 13, named), {}, 1, -1
redis.call('ZREM', K.due, 'l ' .. id) -- first, as it frees memory: see finish.lua
if r.due ~= '-' then -- its continuation is stored: that is the end of a run, not of the task
  due = math.max(tonumber(r.due) - K.ms, 0)
  resume(lists, id, r, out)
elseif policy == 'block' then
  code = 2
  block(id, r, group_key, flag)
else
  if policy == 'dead_letter' then
    set_aside(id, group, raised, redis.call('HGET', K.entries, id))
  else
    redis.call('HDEL', K.flight, id)
    redis.call('HDEL', K.entries, id)
  end
  free_slot(group_key, id)
  count_out(group)
  if policy == 'cancel_rest' and redis.call('LLEN', waiting) > 0 then
    redis.call('RENAME', waiting, cancelled)
    redis.call('ZADD', K.due, K.REST + K.ms, 'd ' .. group .. ' ' .. fence)
  end
  advance(lists, waiting, group_key, group, out)
end
redis.call('HINCRBY', K.stats, 'runs_finished', 1)
redis.call('HSET', calls, caller, call .. ' -' .. (due >= 0 and ' ' .. digits(K.ms + due) or ''))
redis.call('PEXPIRE', calls, keep)
return { code, '', 0, due, unpack(out) }
