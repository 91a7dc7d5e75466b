-- Frees the places of a task with several keys, see lib/stand_in.lua.
--@include keys write record flag entry stand_in identity

-- A task ends, or is taken out: its stand-ins go. by: the one through which that happens; the caller removes its place
-- in line; nil: none. ran: after a run, which closes the circuit breakers of its groups. A stand-in that may be cut off
-- its line stays behind.
local function leave_places(name, by, ran)
  local number = 0
  for of in string.gmatch(redis.call('HGET', K.begins, 'k ' .. name) or '', '%S+') do
    number = number + 1
    local id = name .. ';k' .. number
    local g = open_group(of)
    local r = record_of(g, id)
    if r or id == by or not has_flag(g, 'c') then
      local known = redis.call('HDEL', K.entries, id)
      redis.call('HINCRBY', K.stats, 'stand_ins', -known)
      add_to(g, 'empty', not r and id ~= by and known or 0)
    end
    if r and r.stop == 'l' then
      redis.call('ZREM', K.due, 'h ' .. of .. ' ' .. id)
    end
    if ran then
      drop_mark(g, 'o') -- see lib/breaker.lua
    end
    remove_record(g, id)
    write_group(of, g)
    look_soon(K.REST, 'a ' .. of)
  end
  redis.call('HDEL', K.begins, 'k ' .. name)
end

-- Returns whether the task of an entry is gone, and this place of it has stayed behind.
local function is_left_behind(id)
  local _, name = stands_for(id)
  local said = redis.call('HGET', K.begins, 'k ' .. (name or id))
  return name and not said or said == '!'
end

-- Remove an entry that has stayed behind. The caller removes its place, or its record.
local function remove_left(id)
  local known = redis.call('HDEL', K.entries, id)
  if string.find(id, ';k', 1, true) then
    redis.call('HINCRBY', K.stats, 'stand_ins', -known)
  else
    redis.call('HINCRBY', K.stats, 'tasks_removed', known)
    redis.call('HDEL', K.begins, 'k ' .. id)
  end
end

-- An entry ends after a run: its identity and its other places go.
local function end_entry(id, group, g)
  free_identity(id, group, g, true)
  if has_flag(g, 'k') then
    leave_places(id, nil, true)
  end
end
