-- Parks the replacement of a running task: the last one of a chain has the running task's id.
--@include keys unreadable
local NAMES = 8 -- names that the entries of one task may have, see keys.py

-- Returns the name that a replacement has at the gate. With the run's key it keeps the run's place, and its name; the
-- run's record comes with it. With another key it joins its own line, under a free name. No name when the entry
-- replaces none, its id is no running task's, or all names are taken.
local function name_replacement(id, group, replaces)
  local r = read_or_set_aside(id)
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
    r = read_or_set_aside(name)
  end
  return found, r
end
