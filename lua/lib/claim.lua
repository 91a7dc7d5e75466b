-- Gives identities to entries, see lib/identity.lua, and finds those that have them.
--@include keys clock write record flag entry identity

-- Returns the newest entry that has an identity, and where it is: p parked · a under way · e ended, and the identity
-- still counts; nothing when it is free.
local function holder_of(group, g, identity)
  local said = redis.call('HGET', K.identities, 'i ' .. group .. ' ' .. identity)
  local till, names = string.match(said or '', '^(%S+) (.*)$')
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

-- Let an entry have an identity.
local function claim(group, g, identity, after, name)
  local field = 'i ' .. group .. ' ' .. identity
  local alive = ''
  local others = others_of(field, name)
  for other in string.gmatch(others, '%S+') do
    alive = alive .. (redis.call('HEXISTS', K.entries, other) == 1 and ' ' .. other or '')
  end
  redis.call('HSET', K.identities, field, '-' .. alive .. ' ' .. name, 'n ' .. name, after .. ' ' .. identity)
  if not has_flag(g, 'i') then
    add_mark(g, 'i')
    write_group(group, g)
  end
end

-- Let a new entry have the identity of its call, if that has one. One that is its task's id is needed only where the
-- entry has another name, or for the time after its end. latest: its policy needs no such time.
local function claim_new(group, g, identity, after, latest, id, name)
  if identity and (name ~= id or latest ~= '1' or string.sub(identity, 1, 1) ~= ';') then
    claim(group, g, identity, after, name)
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
