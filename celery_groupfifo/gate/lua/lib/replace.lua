-- A running task has replaced itself by others, the last of which has its id.
local NAMES = 8 -- that the entries of one task may have, see keys.py

-- What has the key of a run keeps the run's place. What has another one joins its own line, under a name that is free.
-- Returns the name, and the record of the run; no name when nothing is replaced, the id is no running task's, or all
-- names are taken.
local function replaced(id, group, replaces)
  local r
  r = read_flight(id)
  local name = replaces == '1' and r and r.state == 'running' and id
  for _ = 1, NAMES do
    if not name or r and r.state == 'running' and r.group == group then
      return name, r
    elseif redis.call('HEXISTS', K.entries, name) == 0 then
      return name
    end
    name = name .. ';r'
    r = read_flight(name)
  end
end
