-- Made of lua/begin.lua by `make scripts`: change that file, not this one.
--
-- begin: give the lease to a worker that received a ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] fence   (number)  of the ticket
-- ARGV[5] owner   (text)    the worker
-- ARGV[6] call    (text)    this call's own name
-- ARGV[7] ttl     (ms)
-- Returns {1, group} begun (by this call, now or before) · {0} the ticket is stale
-- Complexity O(log leases)
local redis_call = redis.call
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
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

local id, fence, owner, call, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

local begin_run_3
do -- begin_run(id, fence, owner, call, ttl, true)
  local noted = true
  local text = redis_call('HGET', K_flight, id)
  local drawn, lost, rest, group, queue =
    string.match(text or '', '^released ([^ ]+) (%d+) [^ ]+ [^ ]+ [^ ]+ ()[^ ]+ [^ ]+ ([^ ]+) ([^ ]+)$')
  local counts = drawn == fence
  if counts then
    redis_call('ZREM', K_on_the_way, queue .. ' ' .. fence .. ' ' .. id)
    local begun = noted and lost == '0' and (string.match(redis_call('HGET', K_begins, queue) or '', '^%d+') or '0')
    if begun and tonumber(begun) < tonumber(fence) then
      redis_call('HSET', K_begins, queue, fence .. ' ' .. K_ms_text)
    end
    do -- lease(id, fence, lost, owner, call, ttl, string.sub(text, rest))
      local rest = string.sub(text, rest)
      redis_call('HSET', K_flight, id, 'running ' .. fence .. ' ' .. lost .. ' ' .. K_ms_text .. ' '
        .. owner .. ' ' .. call .. ' ' .. rest)
      redis_call('ZADD', K_due, K_ms + ttl, 'l ' .. id)
    end
  end
  begin_run_3 = counts and group
end
local group = begin_run_3
if group then
  return { 1, group }
end
local read_or_bury_4
do -- read_or_bury(id)
  local read_flight_1, read_flight_2
  do -- read_flight(id)
    local text = redis_call('HGET', K_flight, id)
    local state, fence, lost, since, owner, call, due, stop, group, queue =
      string.match(text or '', '^([^ ]+) ([^ ]+) (%d+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+)$')
    local r, corrupt
    if state then
      r = {
        state = state, fence = fence, lost = lost, since = since, owner = owner, call = call,
        due = due, stop = stop, group = group, queue = queue,
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
  read_or_bury_4 = r
end
local r = read_or_bury_4
if r and r.fence == fence and r.state == 'running' and r.owner == owner and r.call == call then
  return { 1, r.group }
end
return { 0 }
