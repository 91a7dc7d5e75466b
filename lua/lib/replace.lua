-- Parks the replacement of a running task: the last one of a chain has the running task's id.
--@include keys flight
local NAMES = 8 -- names that the entries of one task may have, see keys.py

-- An entry with the run's key keeps the run's place. One with another key joins its own line, under a free name.
-- Returns the name, and the record of the run; no name when the entry replaces none, its id is no running task's, or
-- all names are taken.
local function replaced(id, group, replaces)
  local r = read_flight(id)
  local name, found = replaces == '1' and r and r.state == 'running' and id, nil
  for _ = 1, NAMES do
    if not name or r and r.state == 'running' and r.group == group then
      found = name
      break
    elseif redis.call('HEXISTS', K.entries, name) == 0 then
      found, r = name, nil
      break
    end
    name = name .. ';r'
    r = read_flight(name)
  end
  return found, r
end
