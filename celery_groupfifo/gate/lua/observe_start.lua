-- Made of lua/observe_start.lua by `make scripts`: change that file, not this one.
--
-- observe_start: count the start of a run that nothing has ordered, and see whether it breaks order or exclusion.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] observed  (hash)   group -> its observations, see lib/observed.lua
-- KEYS[11] ages      (zset)   group -> when it was seen last (ms)
-- KEYS[12] totals    (hash)   counts of all groups
-- ARGV[1-2]          clock, tag
-- ARGV[3]  group     (text)
-- ARGV[4]  id        (text)   of the task
-- ARGV[5]  task      (text)   its name
-- ARGV[6]  call      (text)   of this run, the same for a repetition
-- ARGV[7]  place     (count)  0: not known; -1: it has none, because of its ETA
-- ARGV[8]  again     (0 | 1)  it has run before: a retry, or a message that came again
-- ARGV[9]  most      (count)  runs of the group that may go on at once
-- ARGV[10] lasts     (ms)     it counts as running for so long, unless it is told again
-- ARGV[11] missed    (count)  starts that the caller could not tell before
-- Returns 1 counted · 0 it was, by this call before
-- Complexity O(runs of the group + log groups)
local redis_call = redis.call
-- The starts of the ranges of due.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
local K_ms_text = string.sub(K_us_text, 1, 13)
local function now_ms()
  return tonumber(K_ms_text)
end
local observed, ages, totals = KEYS[10], KEYS[11], KEYS[12]
local KEPT_MS = 604800000 -- a week
local KEPT = 10000
local RUNS = 100 -- of a group, that are kept
local function open_observed(group)
  local text = redis_call('HGET', observed, group)
  local empty = { place = 0, high = 0, since = now_ms(), counts = {}, first = {}, last = {}, runs = {} }
  return text and cjson.decode(text) or empty
end

local group, id, call, place = ARGV[3], ARGV[4], ARGV[6], tonumber(ARGV[7])

local s, other, others = open_observed(group), nil, 0
if s.runs[id] and s.runs[id].call == call then
  return 0
end
for name, run in pairs(s.runs) do
  if run.ends <= now_ms() then
    s.runs[name] = nil
  elseif name ~= id then
    other, others = name, others + 1
  end
end
local example = { id = id, task = ARGV[5], at = now_ms() }
s.counts.runs = (s.counts.runs or 0) + 1
do -- count('runs', 1)
  local name, by = 'runs', 1
  redis_call('HSETNX', totals, 'since', K_ms_text)
  redis_call('HINCRBY', totals, name, by)
end
if others >= tonumber(ARGV[9]) then
  example.other, example.other_task = other, s.runs[other].task
  do -- count_breach(s, 'overlaps', example)
    local kind = 'overlaps'
    s.counts[kind] = (s.counts[kind] or 0) + 1
    s.first[kind] = s.first[kind] or example
    s.last[kind] = example
    do -- count(kind, 1)
      local name, by = kind, 1
      redis_call('HSETNX', totals, 'since', K_ms_text)
      redis_call('HINCRBY', totals, name, by)
    end
  end
end
if place == 0 then
  do -- count_breach(s, 'not_counted', example)
    local kind = 'not_counted'
    s.counts[kind] = (s.counts[kind] or 0) + 1
    s.first[kind] = s.first[kind] or example
    s.last[kind] = example
    do -- count(kind, 1)
      local name, by = kind, 1
      redis_call('HSETNX', totals, 'since', K_ms_text)
      redis_call('HINCRBY', totals, name, by)
    end
  end
elseif place > 0 and place < s.high then
  example = { id = id, task = ARGV[5], at = now_ms(), other = s.id, other_task = s.task }
  do -- count_breach(s, ARGV[8] == '1' and 'late_retries' or 'overtaken', example)
    local kind = ARGV[8] == '1' and 'late_retries' or 'overtaken'
    s.counts[kind] = (s.counts[kind] or 0) + 1
    s.first[kind] = s.first[kind] or example
    s.last[kind] = example
    do -- count(kind, 1)
      local name, by = kind, 1
      redis_call('HSETNX', totals, 'since', K_ms_text)
      redis_call('HINCRBY', totals, name, by)
    end
  end
elseif place > s.high then
  s.high, s.id, s.task = place, id, ARGV[5]
end
if tonumber(ARGV[11]) > 0 then
  do -- count('not_counted', tonumber(ARGV[11]))
    local name, by = 'not_counted', tonumber(ARGV[11])
    redis_call('HSETNX', totals, 'since', K_ms_text)
    redis_call('HINCRBY', totals, name, by)
  end
end
if others < RUNS then
  s.runs[id] = { task = ARGV[5], call = call, ends = now_ms() + tonumber(ARGV[10]) }
end
do -- write_observed(group, s)
  redis_call('HSET', observed, group, cjson.encode(s))
  redis_call('ZADD', ages, now_ms(), group)
  local old = redis_call('ZRANGEBYSCORE', ages, '-inf', now_ms() - KEPT_MS, 'LIMIT', 0, 2)
  if #old == 0 and redis_call('ZCARD', ages) > KEPT then
    old = redis_call('ZRANGE', ages, 0, 0)
  end
  for _, name in ipairs(old) do
    redis_call('ZREM', ages, name)
    redis_call('HDEL', observed, name)
  end
  redis_call('PEXPIRE', observed, KEPT_MS)
  redis_call('PEXPIRE', ages, KEPT_MS)
  redis_call('PEXPIRE', totals, KEPT_MS)
end
return 1
