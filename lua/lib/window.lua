-- The windows of calls with an order value: each waits for some time, so that those with lower values may come and join
-- the line before it; see park.lua. While it waits it is aside, with a member "e" of due, as one with an ETA, and has
--
--   in due     "s <group> <value> <number> <entry>" at a score of its own: those of a group are in order there
--   in begins  "o <entry>" -> "<value> <number> <window, ms>"
--
--   value   digits; of two values the lower one is the lower text, see sending/order.py
--   number  drawn when it was parked: equal values join in the order of parking
--
-- And "m <group>" of begins is the group's mark: the highest value that has joined, until some windows after that.
--
-- A group with the mark w has such entries, or had; other groups cost nothing.
--@include keys clock flag

-- Let an entry wait in its window (ms). The caller writes the group.
local function wait_in_window(group, g, id, value, window)
  local drawn = draw_number()
  redis.call('ZADD', K.due, K.WINDOWS, 's ' .. group .. ' ' .. value .. ' ' .. drawn .. ' ' .. id)
  redis.call('HSET', K.begins, 'o ' .. id, value .. ' ' .. drawn .. ' ' .. digits(window))
  if not has_flag(g, 'w') then
    add_mark(g, 'w')
  end
end

-- An entry waits in its window no longer. Returns "<value> <number>" and its window (ms); nothing when it has none.
local function leave_window(group, g, id)
  local said = has_flag(g, 'w') and redis.call('HGET', K.begins, 'o ' .. id)
  local order, window = string.match(said or '', '^(%d+ %d+) (%d+)$')
  if order then
    redis.call('HDEL', K.begins, 'o ' .. id)
    redis.call('ZREM', K.due, 's ' .. group .. ' ' .. order .. ' ' .. id)
  end
  return order, window
end
