-- Finds what a new call is a duplicate of, see lib/identity.lua.
--@include keys record flag entry claim number
local TAKEN = 8 -- names that the entries of one task may have, see keys.py

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

-- Look for what a new call is a duplicate of. g: nothing when the group has no identities. latest: what is under way
-- does not count. Returns the name of its entry, and what it is a duplicate of, with where that is: see holder_of; o in
-- another group.
local function name_call(group, g, producer, number, id, identity, latest, replaces)
  local name, holder, where = id, nil, nil
  local asks = identity or g and replaces ~= '1' and has_flag(g, 'i')
  if asks then
    local done = redis.call('GET', producer)
    local again = look_up(done, number)
    asks = not again
  end
  if asks then
    holder, where = holder_of(group, g, identity or ';' .. id)
    if latest == '1' and where ~= 'p' then
      name = free_name(g, id)
      if name then
        holder = nil
      else
        local entry = read_entry(id)
        name, holder, where = id, id, entry and entry.group == group and not record_of(g, id) and 'p' or 'o'
      end
    elseif where == 'e' and not identity then
      holder = nil
    end
  end
  return name, holder, where
end
