-- Finds the next head of a group, when no entry of it is in flight.
--
-- Needs waiting (list) and group (hash), which holds one field "f <id>" per entry in flight, and, set by
-- an operator, the flags "paused" and "draining".
--@include keys release
local steps = 100 -- empty places that one call may walk over

-- Remove the flag "draining" with the group's last entry: a drained group takes new entries again.
local function end_drain(group_key, group)
  if not redis.call('ZSCORE', K.depth, group) then
    redis.call('HDEL', group_key, 'draining')
  end
end

-- Returns whether a head may go out (no entry is in flight, and the group is not paused); and whether it drains.
local function read_flags(group_key)
  local is_free, draining = true, false
  for _, field in ipairs(redis.call('HKEYS', group_key)) do
    if field == 'draining' then
      draining = true
    else
      is_free = false
    end
  end
  return is_free, draining
end

local function take_slot(group_key, id)
  redis.call('HSET', group_key, 'f ' .. id, 1)
end

-- Take the next head of a group out of its line, and give it a slot. Returns its id and entry, whose ticket is not
-- drawn yet; nothing when there is none.
local function take_head(waiting, group_key, group)
  local head, entry, corrupt
  local is_free, draining = redis.call('HLEN', group_key) == 0, false
  if not is_free then
    is_free, draining = read_flags(group_key)
  end
  local item = is_free and steps > 0 and redis.call('LPOP', waiting)
  while item do
    local us, id = string.match(item, '^(%d+) (.*)$')
    entry, corrupt = read_entry(id or '')
    if entry and entry.us == us then
      take_slot(group_key, id)
      head = id
      break
    elseif corrupt then
      set_aside(id, group, 'corrupt', corrupt)
      count_out(group)
    end -- else it was revoked: its place is empty
    steps = steps - 1
    item = steps > 0 and redis.call('LPOP', waiting)
  end
  if is_free and steps == 0 and not head then
    redis.call('ZADD', K.due, K.REST + K.ms, 'a ' .. group) -- more empty places than that: a sweep goes on
  end
  if draining and not item and steps > 0 then
    end_drain(group_key, group)
  end
  return head, entry
end

local function free_slot(group_key, id)
  redis.call('HDEL', group_key, 'f ' .. id)
end

local function advance(lists, waiting, group_key, group, out)
  local id, entry = take_head(waiting, group_key, group)
  if id then
    release(lists, id, '0', group, entry, out)
  end
end
