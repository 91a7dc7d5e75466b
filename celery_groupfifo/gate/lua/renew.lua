-- Made of lua/renew.lua by `make scripts`: change that file, not this one.
--
-- renew: extend all leases of a worker, in one heartbeat. A lease that is over but not reclaimed is renewed, too.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] calls  (hash)    of this worker
-- ARGV[1-2]       clock, tag
-- ARGV[3] ttl     (ms)
-- ARGV[4] keep    (ms)      how long the calls of a silent worker are remembered
-- ARGV[5-] id, name         pairs: the run's fence; of a run whose begin is not answered yet, the name of that call
-- Returns the places, from 0, of the runs whose leases are lost
-- Complexity O(leases)
local redis_call = redis.call
local K_flight = KEYS[2]
local K_due = KEYS[3]
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
-- Returns the record; with one that can't be read, let the sweep set the entry aside.
local function read_or_set_aside(id)
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
  return r
end

local calls, ttl, keep = KEYS[10], tonumber(ARGV[3]), ARGV[4]

local lost = {}
for i = 5, #ARGV, 2 do
  local r, name = read_or_set_aside(ARGV[i]), ARGV[i + 1]
  if r and r.state == 'running' and (r.fence == name or r.call == name) then
    redis_call('ZADD', K_due, K_ms + ttl, 'l ' .. ARGV[i])
  else
    lost[#lost + 1] = (i - 5) / 2
  end
end
redis_call('PEXPIRE', calls, keep)
return lost
