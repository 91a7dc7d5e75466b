-- Finds a place in a line by its time. Nearly every line is in the order of parking, so the time tells about where a
-- place is. A look walks over a part of the line, a third of a millisecond in a line of a million, so few looks count.
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

-- Returns the number of a place, from 0; and what the next call goes on with, '' where the order says nothing: an entry
-- that joined late (its ETA had to come, it was moved) stands anywhere.
local function place_by_time(line, us, item, so_far)
  local first, last, low, high, look = string.match(so_far, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if first then
    first, last, low, high = tonumber(first), tonumber(last), tonumber(low), tonumber(high)
  else
    first, last, look = 0, redis.call('LLEN', line), 0
    low, high = time_of(redis.call('LINDEX', line, 0)), time_of(redis.call('LINDEX', line, -1))
  end
  local found
  for turn = look + 1, look + LOOKS do
    if found or first >= last then
      break
    end
    look = turn
    local part = turn % 3 == 0 and 0.5 or (us - low) / math.max(high - low, 1) -- times may be uneven
    local from = math.max(math.min(math.floor(first + (last - first) * part) - NEAR / 2, last - NEAR), first)
    local items = redis.call('LRANGE', line, from, math.min(from + NEAR, last) - 1)
    local at, earliest, latest = index_of(items, item), time_of(items[1]), time_of(items[#items])
    if at then
      found = from + at - 1
    elseif us < earliest then
      last, high = from, earliest
    elseif us > latest and #items > 0 then
      first, low = from + #items, latest
    else -- it is among those that were parked at this time, or nowhere
      from, last = math.max(from - NEAR, 0), first
      at = index_of(redis.call('LRANGE', line, from, from + 3 * NEAR - 1), item)
      found = at and from + at - 1
    end
  end
  local more = not found and first < last
  return found, more and string.format('%d %d %.0f %.0f %d', first, last, low, high, look) or ''
end
