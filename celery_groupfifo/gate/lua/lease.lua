-- Made of lua/lease.lua by `make scripts`: change that file, not this one.
--
-- lease: read the time left of a run's lease.
--
-- KEYS[1-9]      the gate's own, see lib/keys.lua
-- ARGV[1-2]      clock, tag
-- ARGV[3] id     (text)
-- ARGV[4] fence  (number)
-- Returns the ms left, 0 when it is over but not reclaimed; -1: lost
-- Complexity O(1)
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

local id, fence = ARGV[3], ARGV[4]

local read_flight_1
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
  read_flight_1 = r
end
local r = read_flight_1
if not r or r.state ~= 'running' or r.fence ~= fence then
  return -1
end
return math.max(math.floor(tonumber(redis_call('ZSCORE', K_due, 'l ' .. id) or K_ms) - K_ms), 0)
