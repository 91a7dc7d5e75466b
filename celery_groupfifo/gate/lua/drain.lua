-- Made of lua/drain.lua by `make scripts`: change that file, not this one.
--
-- drain: refuse new entries of a group until its last one has ended. Then it takes them again.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] audit  (list)  the actions of operators, newest first
-- KEYS[11] answer (string) of this action's last call
-- KEYS[12] group  (hash)
-- ARGV[1-2]       clock, tag
-- ARGV[3] note    (text)  for the audit
-- ARGV[4] call    (number) of this action, from 1
-- ARGV[5] group   (text)
-- ARGV[6] flag    (text)  operator and reason: JSON, open for the time
-- Returns {1} draining · {2} it was already · {0} it is empty: there is nothing to drain
-- Complexity O(1)
local redis_call = redis.call
local K_depth = KEYS[4]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
local K_ms_text = string.sub(K_us_text, 1, -4)
-- The starts of the ranges of due.
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end
local KEPT = 1000 -- actions that are remembered
-- Close the JSON of a flag with the time.
local function stamped(flag)
  return flag .. '"at_ms": ' .. K_ms_text .. '}'
end

local audit, group_key = KEYS[10], KEYS[12]
local group, flag = ARGV[5], ARGV[6]

if not redis_call('ZSCORE', K_depth, group) then
  return { 0 }
end
local new = redis_call('HSET', group_key, 'draining', stamped(flag))
do -- note(audit, ARGV[3])
  local text = ARGV[3]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
local keep_answer_1
do -- keep_answer({ 2 - new })
  local reply = { 2 - new }
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_1 = reply
end
return keep_answer_1
