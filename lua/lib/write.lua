-- Writes the state of groups, see lib/group.lua.
--@include keys

-- Begin to write a group: the first write of a script frees memory, and so a full Redis does not refuse what follows.
local function free_group(group)
  redis.call('HDEL', K.groups, group)
end

local function state_text(g)
  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
  for at = 1, #g do
    local r = g[at]
    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
  end
  return text
end

-- Write a group, and another one with it, if given.
local function write_group(group, g, other, other_g)
  local text = state_text(g)
  if other then
    local other_text = state_text(other_g)
    redis.call('HSET', K.groups, group, text, other, other_text)
  else
    redis.call('HSET', K.groups, group, text)
  end
end
