-- Lets a new entry have the place of a parked one.
--@include keys window by_time

-- Give the place of a parked entry, or the time of its ETA, or its window, to another name. Returns whether it has one:
-- a part of the line that is cut off has none.
local function rename_place(line, group, g, us, old, new)
  local later, item, at = redis.call('ZSCORE', K.due, 'e ' .. group .. ' ' .. old), us .. ' ' .. old, nil
  if later then
    redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. old)
    redis.call('ZADD', K.due, later, 'e ' .. group .. ' ' .. new)
    local order, window = leave_window(group, g, old)
    if order then
      redis.call('ZADD', K.due, K.WINDOWS, 's ' .. group .. ' ' .. order .. ' ' .. new)
      redis.call('HSET', K.begins, 'o ' .. new, order .. ' ' .. window)
    end
  else
    local so_far = ''
    repeat
      at, so_far = place_by_time(line, tonumber(us), item, so_far)
    until so_far == ''
    at = at or redis.call('LPOS', line, item)
    if at then
      redis.call('LSET', line, at, us .. ' ' .. new)
    end
  end
  return later or at
end
