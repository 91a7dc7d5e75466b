-- The observations of groups whose tasks run as in plain Celery: what was counted, and what runs now. They decide
-- nothing. The groups that were seen last are kept.
--
-- The state of a group is JSON: place (the last one drawn), sent (the id that drew it), high (the highest place that
-- has started) with its id and task, since (ms), counts, first and last (an example of each kind), and
-- runs: id -> task, call, ends (ms).
--@include keys clock
local observed, ages, totals = KEYS[10], KEYS[11], KEYS[12]
local KEPT_MS = 604800000 -- a week
local KEPT = 10000
local RUNS = 100 -- of a group, that are kept

local function open_observed(group)
  local text = redis.call('HGET', observed, group)
  local empty = { place = 0, high = 0, since = now_ms(), counts = {}, first = {}, last = {}, runs = {} }
  return text and cjson.decode(text) or empty
end

local function count(name, by)
  redis.call('HSETNX', totals, 'since', K.ms_text)
  redis.call('HINCRBY', totals, name, by)
end

-- Count a kind of a group, with an example: the run, and the one that it has met.
local function count_breach(s, kind, example)
  s.counts[kind] = (s.counts[kind] or 0) + 1
  s.first[kind] = s.first[kind] or example
  s.last[kind] = example
  count(kind, 1)
end

local function write_observed(group, s)
  redis.call('HSET', observed, group, cjson.encode(s))
  redis.call('ZADD', ages, now_ms(), group)
  local old = redis.call('ZRANGEBYSCORE', ages, '-inf', now_ms() - KEPT_MS, 'LIMIT', 0, 2)
  if #old == 0 and redis.call('ZCARD', ages) > KEPT then
    old = redis.call('ZRANGE', ages, 0, 0)
  end
  for _, name in ipairs(old) do
    redis.call('ZREM', ages, name)
    redis.call('HDEL', observed, name)
  end
  redis.call('PEXPIRE', observed, KEPT_MS)
  redis.call('PEXPIRE', ages, KEPT_MS)
  redis.call('PEXPIRE', totals, KEPT_MS)
end
