-- Made of lua/place.lua by `make scripts`: change that file, not this one.
--
-- place: find the place of an entry in its line.
--
-- The time tells about where it is, see lib/by_time.lua. For an entry that joined late the caller goes through the
-- line, a part per call, from its end, as whatever leaves a line leaves it at the front.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] us       (us)    time when the entry was parked
-- ARGV[4] id       (text)
-- ARGV[5] below    (count) look at the last places below this one; -1: where the time says
-- ARGV[6] most     (count) places to look at
-- ARGV[7] so_far   (text)  of the call before; empty: this is the first one
-- Returns {place, below, so_far}: -1 it was not found · for the next call, 0 when no places are left
-- Complexity O(most)
local redis_call = redis.call
local NEAR, LOOKS = 100, 2 -- places that are read at once; looks of one call
local function time_of(item)
  return tonumber(string.match(item or '', '^%d+') or 0)
end
local function index_of(items, item)
  local found
  for at = 1, #items do
    found = items[at] == item and at or found
  end
  return found
end

local line, us, item = KEYS[10], tonumber(ARGV[3]), ARGV[3] .. ' ' .. ARGV[4]
local below, most, so_far = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local at
if below < 0 then
  local place_by_time_1, place_by_time_2
  do -- place_by_time(line, us, item, so_far)
    local first, last, low, high, look = string.match(so_far, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
    if first then
      first, last, low, high = tonumber(first), tonumber(last), tonumber(low), tonumber(high)
    else
      first, last, look = 0, redis_call('LLEN', line), 0
      low, high = time_of(redis_call('LINDEX', line, 0)), time_of(redis_call('LINDEX', line, -1))
    end
    local found
    for turn = look + 1, look + LOOKS do
      if found or first >= last then
        break
      end
      look = turn
      local part = turn % 3 == 0 and 0.5 or (us - low) / math.max(high - low, 1) -- times may be uneven
      local from = math.max(math.min(math.floor(first + (last - first) * part) - NEAR / 2, last - NEAR), first)
      local items = redis_call('LRANGE', line, from, math.min(from + NEAR, last) - 1)
      local at, earliest, latest = index_of(items, item), time_of(items[1]), time_of(items[#items])
      if at then
        found = from + at - 1
      elseif us < earliest then
        last, high = from, earliest
      elseif us > latest and #items > 0 then
        first, low = from + #items, latest
      else -- it is among those that were parked at this time, or nowhere
        from, last = math.max(from - NEAR, 0), first
        at = index_of(redis_call('LRANGE', line, from, from + 3 * NEAR - 1), item)
        found = at and from + at - 1
      end
    end
    local more = not found and first < last
    place_by_time_1, place_by_time_2 = found, more and string.format('%d %d %.0f %.0f %d', first, last, low, high, look) or ''
  end
  at, so_far = place_by_time_1, place_by_time_2
  below = so_far ~= '' and -1 or redis_call('LLEN', line)
else
  local first = math.max(below - most, 0)
  at = index_of(redis_call('LRANGE', line, first, below - 1), item)
  at, below = at and first + at - 1, first
end
return { at or -1, at and 0 or below, so_far }
