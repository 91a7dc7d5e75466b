-- Lets entries join their line in the order of their values, see lib/window.lua.
--@include keys clock record flag entry window
local MARKED = 10 -- windows for which a mark is kept

-- An entry joins its line: it is late when one with a higher value has joined before.
local function note_order(group, value, window)
  local mark = redis.call('HGET', K.begins, 'm ' .. group)
  if mark and mark > value then
    redis.call('HINCRBY', K.stats, 'tasks_late', 1)
  else
    redis.call('HSET', K.begins, 'm ' .. group, value)
    redis.call('ZADD', K.due, K.REST + now_ms() + window * MARKED, 'm ' .. group)
  end
end

-- Returns the members of due for the entries of a group that are in order before one; not more than so many.
local function waiting_before(group, said, most)
  local front, found = 's ' .. group .. ' ', {}
  redis.call('ZADD', K.due, K.WINDOWS, front) -- stands before those of the group, within this step
  local from, to = redis.call('ZRANK', K.due, front), redis.call('ZRANK', K.due, front .. said)
  if to and to > from + 1 then
    found = redis.call('ZRANGE', K.due, from + 1, math.min(to - 1, from + most))
  end
  redis.call('ZREM', K.due, front)
  return found
end

-- The window of an entry is over: those with lower values join its line before it. Returns how many have, and whether
-- it may follow: not when others are left before it. An entry with an ETA has no window, and may always.
local function join_lower(line, group, g, id, most)
  local order = has_flag(g, 'w') and redis.call('HGET', K.begins, 'o ' .. id)
  order = string.match(order or '', '^%d+ %d+')
  local lower = order and waiting_before(group, order .. ' ' .. id, most) or {}
  for _, member in ipairs(lower) do
    local value, name = string.match(member, '(%d+) %d+ (%S+)$')
    redis.call('ZREM', K.due, member)
    local _, window = leave_window(group, g, name)
    local there, corrupt = read_entry(name)
    if redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. name) == 1 then
      add_to(g, 'aside', -1)
    else
      there = nil
    end
    if there then
      note_order(group, value, window or 0)
      redis.call('RPUSH', line, there.us .. ' ' .. name)
    elseif corrupt then
      set_aside(name, group, 'corrupt', corrupt)
    end
  end
  local follows = #lower < most
  if order and follows then
    local _, window = leave_window(group, g, id)
    note_order(group, string.match(order, '^%d+'), window)
  end
  return #lower, follows
end
