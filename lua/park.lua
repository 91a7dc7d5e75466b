-- park: let an entry join the line of its group; the first one is released at once.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] waiting   (list)    "<parked us> <id>" of the group's parked entries, head first
-- KEYS[11] group     (hash)    "f <id>" of each entry in flight; flags
-- KEYS[12] producer  (string)  "<last number>" of this producer
-- KEYS[13] wake      (list)    wakes one sweeping worker
-- KEYS[14] list      (list)    the broker's list of the entry's queue; absent on other brokers
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)
-- ARGV[5]  queue     (text)
-- ARGV[6]  cut       (bytes)   where the message's second ticket goes
-- ARGV[7]  message   (bytes)
-- ARGV[8]  delay     (ms)      joins the line later; 0: now
-- ARGV[9]  number    (count)   of this producer's parks, from 1
-- ARGV[10] keep      (ms)      how long the producer's number is remembered
-- ARGV[11] replaces  (0 | 1)   the id is of a running task: the same group keeps its place, another joins its own line
-- Returns {1, queue, message} parked; to publish when given · {2, [queue, message]...} parked by this call before
--         · {-1} the id is parked or running already · {-2} the group is draining
-- Complexity O(log groups)
--@include keys flight release advance again replace
local waiting, group_key, producer, wake, list = KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local delay, count, keep, replaces = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]

-- Timeline of a lost reply: the script runs, the connection breaks, the task runs and ends, the client
-- repeats the call. The id is gone by then; the producer's number is not.
if count <= tonumber(redis.call('GET', producer) or 0) then
  local words = {}
  heads_again({ [queue] = list }, group_key, words)
  return { 2, unpack(words) }
end
local us = K.us_text
local text = us .. ' ' .. group .. ' ' .. queue .. ' ' .. cut .. '\n' .. message
local is_free, draining = read_flags(group_key)

-- The place is written first: a foreign key of the line's name stops the script before any other write.
local out, joins = {}, delay <= 0 and not draining
local first = joins and redis.call('RPUSHX', waiting, us .. ' ' .. id) == 0
local known = draining and redis.call('HEXISTS', K.entries, id) == 1
  or not draining and redis.call('HSETNX', K.entries, id, text) == 0

if known then
  if joins and not first then
    redis.call('RPOP', waiting) -- it has its place already
  end
  local name, r = name_replacement(id, group, replaces)
  if not name then
    return { -1 }
  elseif r then
    store_continuation(name, r, queue, cut, message, delay)
    write_flight(name, r)
    redis.call('SET', producer, ARGV[9], 'PX', keep)
    return { 1 }
  elseif draining then
    return { -2 }
  end
  id = name
  redis.call('HSET', K.entries, id, text)
elseif draining then
  return { -2 }
end

if joins and (known and not first or first and not is_free) then
  redis.call('RPUSH', waiting, us .. ' ' .. id)
end
redis.call('SET', producer, ARGV[9], 'PX', keep)
redis.call('ZINCRBY', K.depth, 1, group)
redis.call('HINCRBY', K.stats, 'tasks_parked', 1)
if delay > 0 then
  local at = K.ETAS + K.ms + delay
  local sooner = redis.call('ZRANGEBYSCORE', K.due, K.ETAS, at, 'LIMIT', 0, 1)
  redis.call('ZADD', K.due, at, 'e ' .. group .. ' ' .. id)
  if not sooner[1] then
    redis.call('LPUSH', wake, us)
    redis.call('LTRIM', wake, 0, 0)
    redis.call('PEXPIRE', wake, 5000)
  end
elseif is_free and first then -- no entry is before it
  local entry = { us = us, queue = queue, cut = tonumber(cut), text = text, at = #text - #message + 1 }
  take_slot(group_key, id)
  release({ [queue] = list }, id, '0', group, entry, out)
elseif is_free then
  advance({ [queue] = list }, waiting, group_key, group, out)
end
return { 1, out[1], out[2] }
