-- The records of a group's entries under way, and its numbers; see lib/group.lua. The caller writes the group.

-- Returns the record of an entry that goes under way; the caller completes it.
local function new_record(id, queue)
  return {
    state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
    call = '-', queue = queue,
  }
end

-- Add to the number of entries aside, or of empty places.
local function add_to(g, what, number)
  g[what] = string.format('%.0f', math.max(g[what] + number, 0))
end

-- Returns the record of an entry under way; nothing when it is not.
local function record_of(g, id)
  local found
  for at = 1, #g do
    found = g[at].id == id and g[at] or found
  end
  return found
end

local function remove_record(g, id)
  for at = #g, 1, -1 do
    if g[at].id == id then
      table.remove(g, at)
    end
  end
end

-- Returns the number of a group's entries.
local function depth_of(line, g)
  return redis.call('LLEN', line) - g.empty + g.aside + #g
end
