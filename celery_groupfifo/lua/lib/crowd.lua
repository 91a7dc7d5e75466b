-- A crowd that comes due at once must not stand in everybody's way: a queue that is served gets only so many tickets
-- ahead of what it has begun. The others come due again a moment later, and keep their places in their lines.
local ROOM = 200 -- tickets on their way in a queue that is served
local SERVED = 60000 -- ms since a begin, within which a queue is
local MOMENT = 50 -- ms until what found no room is due again
local SOON = 20 -- ms until the next sweep, when some found none
local rooms, turned_away = {}, 0

-- Takes room for one more ticket of the crowd. Without any, the member of due comes again.
local function has_room(queue, member, range)
  local room = rooms[queue]
  if not room then
    local at = string.match(redis.call('HGET', K.seen, queue) or '', '^%d+ (%d+)')
    local served = at and K.ms - at < SERVED
    room = served and ROOM - redis.call('ZLEXCOUNT', K.rung, '[' .. queue .. ' ', '(' .. queue .. ' \127') or math.huge
  end
  rooms[queue] = room - 1
  if room <= 0 then
    turned_away = turned_away + 1
    redis.call('ZADD', K.due, range + K.ms + MOMENT, member)
  end
  return room > 0
end

-- Whether the next head of a group finds room; and how many bytes were read to know it.
local function head_has_room(waiting, group_key, group)
  local item = redis.call('HLEN', group_key) == 0 and redis.call('LINDEX', waiting, 0)
  local entry = item and read_entry(string.match(item, '^%d+ (.*)$') or '')
  if entry then
    return has_room(entry.queue, 'a ' .. group, K.ETAS), #entry.text
  end
  return true, 0
end
