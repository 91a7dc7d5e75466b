-- finish: end a run whose execution is over. In one step, the lease goes back, the group's next head is released,
-- and the worker takes its next task.
--
-- KEYS[1-9]            the gate's own, see lib/keys.lua
-- KEYS[10] waiting     (list)  of the group
-- KEYS[11] group       (hash)
-- KEYS[12] calls       (hash)  caller -> "<call> <id taken | -> [<when its continuation is due, ms>]", of this worker
-- KEYS[13-] lists      (list)  the broker's lists that the worker consumes, in its order
-- ARGV[1-2]            clock, tag
-- ARGV[3]  id          (text)
-- ARGV[4]  group       (text)
-- ARGV[5]  fence       (number)
-- ARGV[6]  owner       (text)
-- ARGV[7]  caller      (text)  makes one call at a time: a thread of the worker
-- ARGV[8]  call        (text)  this call's own name
-- ARGV[9]  ttl         (ms)    lease of the task taken
-- ARGV[10] take        (text)  lists: the next ticket of the lists · own: the group's next head · none
-- ARGV[11] keep        (ms)    how long the calls of a silent worker are remembered
-- ARGV[12] named       (count) lists
-- ARGV[13-] queues     (text)  their names
-- ARGV[..] queue, cut, message, delay  of the run's continuation (retry, replace), when it has one; see park.lua
-- Returns {code, taken, fence, due, [queue, message]...}: code 1 finished · 0 stale, nothing was done; the message
--         taken and its run's fence, or '' and 0; ms until the continuation is due, or -1; to publish
-- Complexity O(log groups)
--@include keys flight release unreadable resume advance take again
local waiting, group_key, calls = KEYS[10], KEYS[11], KEYS[12]
local id, group, fence, owner = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local caller, call, ttl, take = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local keep, named = ARGV[11], tonumber(ARGV[12])

local after = 13 + named -- the continuation
local stored = due_of_run(id, fence, group)
if not stored then
  local before, taken, at = string.match(redis.call('HGET', calls, caller) or '', '^(%S+) (%S+) ?(%d*)$')
  if before ~= call then
    read_or_set_aside(id)
    return { 0, '', 0, -1 }
  end
  -- A repetition of this call: the same answer, with the message that it took, while its lease lasts.
  local t = read_flight(taken)
  local entry = read_entry(taken)
  local due, message, begun, words = at ~= '' and math.max(tonumber(at) - K.ms, 0) or -1, '', 0, {}
  if t and entry and t.state == 'running' and t.owner == owner and t.call == call then
    message = compose(taken, entry, t.release, t.lost)
    begun = t.fence
  end
  local lists = named_lists(13, 13, named)
  heads_again(lists, group_key, words)
  return { 1, message, begun, due, unpack(words) }
end

local out, due, due_text = {}, -1, ''
local taken, message, begun, head, entry
-- The first write frees memory: a full Redis refuses others, but nothing that follows it.
redis.call('ZREM', K.due, 'l ' .. id)
if stored ~= '-' or ARGV[after] then
  local r = read_flight(id)
  if ARGV[after] then
    store_continuation(id, r, ARGV[after], ARGV[after + 1], ARGV[after + 2], ARGV[after + 3])
    redis.call('HINCRBY', K.stats, 'tasks_held', 1)
  end
  due = math.max(tonumber(r.due) - K.ms, 0)
  due_text = ' ' .. string.format('%.0f', K.ms + due)
  local lists = named_lists(13, 13, named)
  resume(lists, id, r, out)
else
  redis.call('HDEL', K.flight, id)
  redis.call('HDEL', K.entries, id)
  free_slot(group_key, id)
  count_out(group)
  head, entry = take_head(waiting, group_key, group)
end
if take == 'lists' then
  taken, message, begun = begin_next(13, 13, named, owner, call, ttl, head and entry.queue)
end
if head and (taken == OWN or take == 'own') then -- it is the next one: begun without going through the broker
  begun = draw_number()
  lease(head, begun, begun, '0', owner, call, ttl, '- - ' .. group .. ' ' .. entry.queue)
  message = compose(head, entry, begun, '0')
  taken = head
elseif head then
  local lists = named_lists(13, 13, named)
  release(lists, head, '0', group, entry, out, begun)
end
redis.call('HINCRBY', K.stats, 'runs_finished', 1)
if redis.call('HSET', calls, caller, call .. ' ' .. (taken or '-') .. due_text) == 1 then
  redis.call('PEXPIRE', calls, keep) -- a new caller; renewals extend it from now on
end
return { 1, message or '', begun or 0, due, unpack(out) }
