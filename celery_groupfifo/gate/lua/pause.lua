-- Made of lua/pause.lua by `make scripts`: change that file, not this one.
--
-- pause: let no entry of the group start until it is resumed. A running one goes on; a released or held one stays at
-- the head.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] audit   (list)  the actions of operators, newest first
-- KEYS[11] answer  (string) of this action's last call
-- KEYS[12] paused  (zset)  paused group -> since (ms)
-- KEYS[13] group   (hash)
-- ARGV[1-2]        clock, tag
-- ARGV[3] note     (text)  for the audit
-- ARGV[4] call     (number) of this action, from 1
-- ARGV[5] group    (text)
-- ARGV[6] flag     (text)  operator and reason: JSON, open for the time
-- Returns {1} paused · {2} it was already; reason and operator are replaced
-- Complexity O(in flight)
local redis_call = redis.call
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
local K_ms_text = string.sub(K_us_text, 1, -4)
local K_ms = tonumber(K_ms_text)
-- The starts of the ranges of due.
local K_REST = 3e14
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
local function in_flight(group_key)
  local ids = {}
  for _, field in ipairs(redis_call('HKEYS', group_key)) do
    if string.sub(field, 1, 2) == 'f ' then
      ids[#ids + 1] = string.sub(field, 3)
    end
  end
  return ids
end

local audit, paused, group_key = KEYS[10], KEYS[12], KEYS[13]
local group, flag = ARGV[5], ARGV[6]

local new = redis_call('HSET', group_key, 'paused', stamped(flag))
redis_call('ZADD', paused, K_ms, group)
for _, id in ipairs(in_flight(group_key)) do
  local read_or_set_aside_3
  do -- read_or_set_aside(id)
    local read_flight_1, read_flight_2
    do -- read_flight(id)
      local text = redis_call('HGET', K_flight, id)
      local state, drawn, fence, lost, since, owner, call, due, stop, group, queue =
        string.match(text or '', '^([^ ]+) (%d+) ([%d-]+) (%d+) (%d+) ([^ ]+) ([^ ]+) ([%d-]+) ([^ ]+) ([^ ]+) ([^ ]+)$')
      local r, corrupt
      if state then
        r = {
          state = state, release = drawn, fence = fence, lost = lost, since = since, owner = owner,
          call = call, due = due, stop = stop, group = group, queue = queue,
        }
      elseif text then
        corrupt = text
      end
      read_flight_1, read_flight_2 = r, corrupt
    end
    local r, corrupt = read_flight_1, read_flight_2
    if corrupt then
      redis_call('ZADD', K_due, K_REST + K_ms, 'c ' .. id)
    end
    read_or_set_aside_3 = r
  end
  local r = read_or_set_aside_3
  if r then
    -- Timeline of a ticket at the broker: it was released, the group is paused, a worker receives it. Its entry is
    -- held, so it is stale; resume releases a new one.
    if r.state == 'released' then
      redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
      redis_call('ZREM', K_due, 'r ' .. id)
      r.state, r.since = 'held', K_ms_text
    end
    redis_call('ZREM', K_due, 'h ' .. id)
    r.stop = r.stop == 'b' and 'b' or 'p'
    do -- write_flight(id, r)
      redis_call('HSET', K_flight, id, r.state .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.lost .. ' ' .. r.since
        .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.due .. ' ' .. r.stop .. ' ' .. r.group .. ' ' .. r.queue)
    end
  end
end
do -- note(audit, ARGV[3])
  local text = ARGV[3]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
local keep_answer_4
do -- keep_answer({ 2 - new })
  local reply = { 2 - new }
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_4 = reply
end
return keep_answer_4
