-- The next head of a group, when nothing of it is in flight.
--
-- Needs waiting (list) and group (hash), which holds one field "f <id>" per entry in flight, and nothing else.
local STEPS = 100

-- Returns id, record and message of the new head, not yet rung; nothing when there is none.
local function next_head(waiting, group_key, group)
  if redis.call('HLEN', group_key) > 0 then
    return nil
  end
  for _ = 1, STEPS do
    local item = redis.call('LPOP', waiting)
    if not item then
      return nil
    end
    local us, id = string.match(item, '^(%d+) (.*)$')
    local entry, corrupt = read_entry(id or '')
    if corrupt then
      bury(id, group, 'corrupt', corrupt)
      leave(group)
    elseif entry and entry.us == us then
      local r = { lost = '0', group = group }
      redis.call('HSET', group_key, 'f ' .. id, 1)
      return id, r, issue(id, r, entry)
    end -- else it was revoked: its place is empty
  end
  redis.call('ZADD', K.due, K.ms, 'a ' .. group) -- more empty places than one call may walk: a sweep goes on
  return nil
end

local function land(group_key, id)
  redis.call('HDEL', group_key, 'f ' .. id)
end

local function advance(lists, waiting, group_key, group, out)
  local id, r, message = next_head(waiting, group_key, group)
  if message then
    ring(lists, id, r, message, out)
  end
end

-- An entry in flight goes on: its continuation waits until it is due, anything else is released. An entry
-- that nobody can read is buried; its slot is given back by the sweep, which knows the group's keys.
local function resume(lists, id, r, out)
  redis.call('ZREM', K.due, 'l ' .. id)
  if r.stop ~= '-' or (r.due ~= '-' and tonumber(r.due) > K.ms) then
    r.state, r.owner, r.call, r.since = 'held', '-', '-', number(K.ms)
    write_flight(id, r)
    if r.stop == '-' then
      redis.call('ZADD', K.due, r.due, 'h ' .. id)
    end
    return
  end
  local entry, corrupt = read_entry(id)
  if entry then
    ring(lists, id, r, issue(id, r, entry), out)
    return
  end
  bury(id, r.group, corrupt and 'corrupt' or 'missing', corrupt)
  leave(r.group)
  redis.call('ZADD', K.due, K.ms, 'x ' .. r.group .. ' ' .. id)
end
