-- The next head of a group, when nothing of it is in flight.
--
-- Needs waiting (list) and group (hash), which holds one field "f <id>" per entry in flight, and while an operator
-- wants it the flags "paused" and "draining".
local STEPS = 100

-- The flag goes with the group's last entry: a group that was drained takes new ones.
local function drained(group_key, group)
  if not redis.call('ZSCORE', K.depth, group) then
    redis.call('HDEL', group_key, 'draining')
  end
end

-- Returns whether a head may go out: nothing is in flight, and nobody has paused the group; and whether it drains.
local function free(group_key)
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

-- An entry takes a slot of its group. Returns its record, to be written with its ticket.
local function take_slot(id, group_key, group)
  redis.call('HSET', group_key, 'f ' .. id, 1)
  return { lost = '0', group = group }
end

-- Returns id, record and entry of the new head, whose ticket is not drawn yet; nothing when there is none.
local function next_head(waiting, group_key, group)
  local is_free, draining = free(group_key)
  if not is_free then
    if draining then
      drained(group_key, group)
    end
    return nil
  end
  for _ = 1, STEPS do
    local item = redis.call('LPOP', waiting)
    if not item then
      if draining then
        drained(group_key, group)
      end
      return nil
    end
    local us, id = string.match(item, '^(%d+) (.*)$')
    local entry, corrupt = read_entry(id or '')
    if corrupt then
      bury(id, group, 'corrupt', corrupt)
      leave(group)
    elseif entry and entry.us == us then
      return id, take_slot(id, group_key, group), entry
    end -- else it was revoked: its place is empty
  end
  redis.call('ZADD', K.due, K.ms, 'a ' .. group) -- more empty places than one call may walk: a sweep goes on
  return nil
end

local function land(group_key, id)
  redis.call('HDEL', group_key, 'f ' .. id)
end

local function advance(lists, waiting, group_key, group, out)
  local id, r, entry = next_head(waiting, group_key, group)
  if id then
    ring(lists, id, r, issue(id, r, entry), out)
  end
end
