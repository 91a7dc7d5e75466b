-- Made of lua/observe_end.lua by `make scripts`: change that file, not this one.
--
-- observe_end: note that runs are over, or that they still go on.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] observed  (hash)   group -> its observations, see lib/observed.lua
-- KEYS[11] ages      (zset)   group -> when it was seen last (ms)
-- KEYS[12] totals    (hash)   counts of all groups
-- ARGV[1-2]          clock, tag
-- ARGV[3] lasts      (ms)     they count as running for so long; 0: they are over
-- ARGV[4-] group, id, call  of each
-- Returns the number of those that were running
-- Complexity O(runs · log groups)
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

local lasts, found = tonumber(ARGV[3]), 0

for i = 4, #ARGV, 3 do
  local group, id = ARGV[i], ARGV[i + 1]
  local open_observed_1
  do -- open_observed(group)
    local text = redis_call('HGET', observed, group)
    local empty = { place = 0, high = 0, since = now_ms(), counts = {}, first = {}, last = {}, runs = {} }
    open_observed_1 = text and cjson.decode(text) or empty
  end
  local s = open_observed_1
  local run = s.runs[id]
  if run and run.call == ARGV[i + 2] then
    found = found + 1
    run.ends = now_ms() + lasts
    s.runs[id] = lasts > 0 and run or nil
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
  end
end
return found
