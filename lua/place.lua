-- place: find the place of an entry in its line.
--
-- Nearly every line is in the order of parking: the time tells about where a place is, and every second look halves
-- what is left. A look walks over a part of the line, so few looks count. An entry that joined late (its ETA had to
-- come, it was moved) is where the order says nothing: the caller goes through the line, a part per call, from its end,
-- as whatever leaves a line leaves it at the front.
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
local NEAR = 100 -- places that are read at once
local line, us, item = KEYS[10], tonumber(ARGV[3]), ARGV[3] .. ' ' .. ARGV[4]
local below, most = tonumber(ARGV[5]), tonumber(ARGV[6])

local first = math.max(below - most, 0)
if below < 0 then
  below = redis.call('LLEN', line)
  local last, halves = below, false
  local low = tonumber(string.match(redis.call('LINDEX', line, 0) or '', '^%d+') or 0)
  local high = tonumber(string.match(redis.call('LINDEX', line, -1) or '', '^%d+') or 0)
  while last - first > NEAR do -- every place before `first` is of an earlier time, and none from `last` on
    local part = halves and 0.5 or (us - low) / math.max(high - low, 1)
    local middle = math.floor(first + (last - first) * part)
    if not halves then -- a little to the side where more is left, so that both sides come close
      middle = part < 0.5 and middle + NEAR / 2 or middle - NEAR / 2
    end
    middle = math.min(math.max(middle, first), last - 1)
    local there = tonumber(string.match(redis.call('LINDEX', line, middle), '^%d+') or 0)
    if there < us then
      first, low = middle + 1, there
    else
      last, high = middle, there
    end
    halves = not halves
  end
  most = math.min(most, NEAR + 100) -- few are parked in one microsecond
else
  most, below = below - first, first
end
for at, each in ipairs(redis.call('LRANGE', line, first, first + most - 1)) do
  if each == item then
    return { first + at - 1, 0 }
  end
end
return { -1, below }
