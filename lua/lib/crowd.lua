-- A crowd that comes due at once must not delay other tasks: a queue that is served gets only ROOM tickets ahead of its
-- begun ones. The others wait for room, in the order in which they came due, and cost nothing meanwhile: the crowd
-- (zset) holds "<queue> <ms> <member>", and "q <queue>" in due says when the next ones come in.
--@include keys clock
local ROOM = 200 -- tickets on their way in a queue that is served
local SERVED = 60000 -- ms since a begin, within which a queue counts as served; so does one whose list the caller gives
local SOON, LATER = 20, 250 -- ms until a queue is checked again: after some of its crowd came in, and after none did
local rooms, crowded, turned_away = {}, {}, false

-- Returns the score of a member of due that waits for room since a time: held heads can be counted in it.
local function crowd_score(member, ms)
  return K.CROWDS + (string.sub(member, 1, 1) == 'h' and 0 or 1e14) + ms
end

-- Returns the number of tickets that a queue takes of its crowd. lists: the broker's lists that the caller consumes.
local function room_in(lists, queue)
  local room = rooms[queue]
  if not room then
    local at = string.match(redis.call('HGET', K.begins, queue) or '', '^%d+ (%d+)')
    local served = lists[queue] or at and now_ms() - at < SERVED
    local ahead = served and redis.call('ZLEXCOUNT', K.on_the_way, '[' .. queue .. ' ', '(' .. queue .. ' \127')
    room = ahead and ROOM - ahead or math.huge
  end
  rooms[queue] = room
  return room
end

-- Take room for one more ticket, when no other waits for it. Without room the member of due joins the crowd.
local function take_room(crowd, lists, queue, member)
  local room = room_in(lists, queue)
  if room > 0 and crowded[queue] == nil then
    crowded[queue] = redis.call('ZSCORE', K.due, 'q ' .. queue) and true or false
  end
  local found = room > 0 and not crowded[queue]
  local score = not found and tonumber(redis.call('ZSCORE', K.due, member) or 0)
  if found then
    rooms[queue] = room - 1
  elseif score < K.CROWDS then
    turned_away = true
    redis.call('ZADD', K.due, crowd_score(member, now_ms()), member)
    redis.call('ZADD', crowd, 0, queue .. ' ' .. K.ms_text .. ' ' .. member)
    redis.call('ZADD', K.due, 'NX', K.REST + now_ms() + SOON, 'q ' .. queue)
  end
  return found
end

-- Returns the ms until the next sweep when this call has added to a crowd; else -1: it changes nothing about that.
local function next_sweep()
  local pause = turned_away and SOON or -1
  return pause
end

-- Make members of a queue's crowd due again, as many as find room, up to a limit: they join the members. A row of the
-- crowd counts only while its member still waits since the same time.
local function bring_in(crowd, lists, queue, most, members)
  local room = room_in(lists, queue)
  local wanted = math.max(math.min(room, most), 0)
  local rows = redis.call('ZRANGEBYLEX', crowd, '[' .. queue .. ' ', '(' .. queue .. ' \127', 'LIMIT', 0, wanted + 1)
  for at = 1, math.min(wanted, #rows) do
    local ms, member = string.match(rows[at], ' (%d+) (.*)$')
    redis.call('ZREM', crowd, rows[at])
    if tonumber(redis.call('ZSCORE', K.due, member) or 0) == crowd_score(member, ms) then
      redis.call('ZADD', K.due, (string.sub(member, 1, 1) == 'h' and K.HOLDS or K.REST) + now_ms(), member)
      members[#members + 1] = member
    end
  end
  rooms[queue] = room - math.min(wanted, #rows)
  if #rows <= wanted then
    redis.call('ZREM', K.due, 'q ' .. queue)
  else
    local pause = wanted < room and 0 or wanted > 0 and SOON or LATER
    redis.call('ZADD', K.due, K.REST + now_ms() + pause, 'q ' .. queue)
  end
end
