-- Made of lua/begin.lua by `make scripts`: change that file, not this one.
--
-- begin: give the lease, with a new fence, to a worker that received a ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] drawn   (number)  of the ticket's release
-- ARGV[5] owner   (text)    the worker
-- ARGV[6] call    (text)    this call's own name
-- ARGV[7] ttl     (ms)
-- Returns {1, fence} begun, by this call, now or before · {0} the ticket is stale
-- Complexity O(log leases)
local redis_call = redis.call
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
local K_fence = KEYS[7]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
local K_ms_text = string.sub(K_us_text, 1, -4)
local K_us = tonumber(K_us_text)
local K_ms = tonumber(K_ms_text)
-- The starts of the ranges of due.
local K_REST = 3e14

local id, drawn, owner, call, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

local begin_run_4
do -- begin_run(id, drawn, owner, call, ttl, true)
  local drawn, noted = drawn, true
  local text = redis_call('HGET', K_flight, id)
  local current, lost, rest, queue =
    string.match(text or '', '^released ([^ ]+) [^ ]+ (%d+) [^ ]+ [^ ]+ [^ ]+ ()[^ ]+ [^ ]+ [^ ]+ ([^ ]+)$')
  local fence
  if current == drawn then
    redis_call('ZREM', K_on_the_way, queue .. ' ' .. drawn .. ' ' .. id)
    local begun = noted and lost == '0' and (string.match(redis_call('HGET', K_begins, queue) or '', '^%d+') or '0')
    if begun and tonumber(begun) < tonumber(drawn) then
      redis_call('HSET', K_begins, queue, drawn .. ' ' .. K_ms_text)
    end
    local draw_number_3
    do -- draw_number()
      local drawn = K_us_text
      local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
      if last >= K_us then
        drawn = string.format('%.0f', last + 1)
        redis_call('SET', K_fence, drawn)
      end
      draw_number_3 = drawn
    end
    fence = draw_number_3
    do -- lease(id, drawn, fence, lost, owner, call, ttl, string.sub(text, rest))
      local rest = string.sub(text, rest)
      redis_call('HSET', K_flight, id, 'running ' .. drawn .. ' ' .. fence .. ' ' .. lost .. ' ' .. K_ms_text .. ' '
        .. owner .. ' ' .. call .. ' ' .. rest)
      redis_call('ZADD', K_due, K_ms + ttl, 'l ' .. id)
    end
  end
  begin_run_4 = fence
end
local fence = begin_run_4
if fence then
  return { 1, fence }
end
local read_or_set_aside_5
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
  read_or_set_aside_5 = r
end
local r = read_or_set_aside_5
if r and r.release == drawn and r.state == 'running' and r.owner == owner and r.call == call then
  return { 1, r.fence }
end
return { 0 }
