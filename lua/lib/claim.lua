-- Gives identities to entries, see lib/identity.lua, and finds those that have them.
--@include keys clock write record flag entry identity
local TAKEN = 8 -- names that the entries of one task may have, see keys.py

-- Returns the newest entry that has an identity, and where it is: p parked · a under way · e ended, and the identity
-- still counts; nothing when it is free.
local function holder_of(group, g, identity)
  local till, names = string.match(redis.call('HGET', K.identities, 'i ' .. group .. ' ' .. identity) or '', '^(%S+) (.*)$')
  local found, where
  if till and till ~= '-' then
    found = tonumber(till) > now_ms() and names or nil
    where = 'e'
  else
    for name in string.gmatch(names or '', '%S+') do
      local entry = read_entry(name)
      if entry and entry.group == group then -- else it was set aside
        found, where = name, record_of(g, name) and 'a' or 'p'
      end
    end
  end
  return found, where
end

-- Returns a name for a new entry of a task whose id no entry has, or one that is under way in this group; else nothing.
local function free_name(g, id)
  local name, free = id, nil
  for _ = 1, TAKEN do
    if redis.call('HEXISTS', K.entries, name) == 0 then
      free = name
      break
    elseif name == id and not record_of(g, id) then
      break
    end
    name = name .. ';r'
  end
  return free
end

-- Look for what a call is a duplicate of. latest: what is under way does not count.
-- Returns the name of the call's entry; or nothing, the name of the entry that it is a duplicate of, and where that is
-- (see holder_of; o in another group).
local function find_duplicate(group, g, id, identity, latest)
  local holder, where = holder_of(group, g, identity)
  local name = not holder and id or nil
  if latest and where ~= 'p' then
    holder, where, name = nil, nil, free_name(g, id)
    if not name then
      local entry = read_entry(id)
      holder, where = id, entry and entry.group == group and not record_of(g, id) and 'p' or 'o'
    end
  end
  return name, holder, where
end

-- Let an entry have an identity.
local function claim(group, g, identity, after, name)
  local field = 'i ' .. group .. ' ' .. identity
  local alive = ''
  for other in string.gmatch(others_of(field, name), '%S+') do
    alive = alive .. (redis.call('HEXISTS', K.entries, other) == 1 and ' ' .. other or '')
  end
  redis.call('HSET', K.identities, field, '-' .. alive .. ' ' .. name, 'n ' .. name, after .. ' ' .. identity)
  if not has_flag(g, 'i') then
    add_mark(g, 'i')
    write_group(group, g)
  end
end

-- Let an entry that has come to another group have its identity there, unless another entry has it.
local function move_identity(id, group, g, new, into)
  local said = has_flag(g, 'i') and redis.call('HGET', K.identities, 'n ' .. id)
  local after, identity = string.match(said or '', '^(%d+) (.*)$')
  if identity then
    free_identity(id, group, g, false)
    local holder = holder_of(new, into, identity)
    if not holder then
      claim(new, into, identity, after, id)
    end
  end
end

-- Give the place of a parked entry, or the time of its ETA, to another name. Returns whether it has one: a part of the
-- line that is cut off has none.
local function rename_place(line, group, us, old, new)
  local later, item, at = redis.call('ZSCORE', K.due, 'e ' .. group .. ' ' .. old), us .. ' ' .. old, nil
  if later then
    redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. old)
    redis.call('ZADD', K.due, later, 'e ' .. group .. ' ' .. new)
  else
    local first, last = 0, redis.call('LLEN', line)
    while first < last do -- nearly every line is in the order of parking, see place.lua
      local middle = math.floor((first + last) / 2)
      if string.sub(redis.call('LINDEX', line, middle), 1, 16) < us then
        first = middle + 1
      else
        last = middle
      end
    end
    at = redis.call('LINDEX', line, first) == item and first or redis.call('LPOS', line, item)
    if at then
      redis.call('LSET', line, at, us .. ' ' .. new)
    end
  end
  return later or at
end
