-- Made of lua/place.lua by `make scripts`: change that file, not this one.
--
-- place: find the place of an entry in its line.
--
-- Nearly every line is in the order of parking, and is halved again and again. An entry that joined late (its ETA had
-- to come, it was moved) is where the order says nothing: the caller goes through the line, a part per call, from its
-- end, as whatever leaves a line leaves it at the front.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] us       (us)    time when the entry was parked
-- ARGV[4] id       (text)
-- ARGV[5] below    (count) look at the last places below this one; -1: where the order says
-- ARGV[6] most     (count) places to look at
-- Returns {place, below}: -1 it was not found · for the next call, 0 when no places are left
-- Complexity O(log places), or O(most)
local redis_call = redis.call

local line, us, item = KEYS[10], tonumber(ARGV[3]), ARGV[3] .. ' ' .. ARGV[4]
local below, most = tonumber(ARGV[5]), tonumber(ARGV[6])

local first = math.max(below - most, 0)
if below < 0 then
  below = redis_call('LLEN', line)
  local last = below
  while first < last do
    local middle = math.floor((first + last) / 2)
    local there = redis_call('LINDEX', line, middle)
    if tonumber(string.match(there, '^%d+') or 0) < us then
      first = middle + 1
    else
      last = middle
    end
  end
  most = math.min(most, 100) -- few are parked in one microsecond
else
  most, below = below - first, first
end
for at, each in ipairs(redis_call('LRANGE', line, first, first + most - 1)) do
  if each == item then
    return { first + at - 1, 0 }
  end
end
return { -1, below }
