-- hold: a running task goes on later (retry, replace). Its continuation is stored at the head and goes out
-- when the run is over and it is due.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] fence   (number)  of the run
-- ARGV[5] queue   (text)
-- ARGV[6] cut     (bytes)   where the message's second ticket goes
-- ARGV[7] message (bytes)
-- ARGV[8] delay   (ms)
-- Returns {1} held · {0} stale: the run lost its lease, nothing was done
-- Complexity O(1)
--@include keys flight
local id, fence, queue, cut, message, delay = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])

local r = read_flight(id)
if not r or r.fence ~= fence or r.state ~= 'running' then
  return { 0 }
end
local parked = string.match(redis.call('HGET', K.entries, id) or '', '^%d+') or K.us_text
redis.call('HSET', K.entries, id, table.concat({ parked, r.group, queue, cut }, ' ') .. '\n' .. message)
if r.due == '-' then -- not this very call, repeated
  redis.call('HINCRBY', K.stats, 'held', 1)
end
r.due = number(K.ms + delay)
write_flight(id, r)
return { 1 }
