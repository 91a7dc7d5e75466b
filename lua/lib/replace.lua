-- Parks the replacement of a running task: the last one of a chain has the running task's id.
--@include keys entry
local NAMES = 8 -- names that the entries of one task may have, see keys.py

-- Returns the name that a replacement has at the gate, the record of the run that it goes on for, and the group's
-- state. With the run's key it keeps the run's place, and its name. With another key it joins its own line, under a
-- free name. No name when the entry replaces none, its id is no running task's, or all names are taken.
local function name_replacement(id, group, replaces)
  local r, of, g = find_record(id)
  local name, found = replaces == '1' and r and r.state == 'r' and id, nil
  for _ = 1, NAMES do
    if not name or r and r.state == 'r' and of == group then
      found = name
      break
    elseif redis.call('HEXISTS', K.entries, name) == 0 then
      found, r = name, nil
      break
    end
    name = name .. ';r'
    r, of, g = find_record(name)
  end
  return found, r, g
end
