-- Looks at the task of a stand-in, see lib/stand_in.lua.
--@include keys write record entry stand_in

-- Returns whether the task of a stand-in runs.
local function runs_elsewhere(id)
  local of, name = stands_for(id)
  local other = of and record_of(open_group(of), name)
  return other and other.state == 'r'
end

-- A stand-in's group is paused: the ticket of its task is made stale.
local function call_back(id)
  local of, name = stands_for(id)
  local g = of and open_group(of)
  local r = g and record_of(g, name)
  if r and r.state == 'w' then
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. of)
    redis.call('ZREM', K.due, 'r ' .. of .. ' ' .. name)
    r.state, r.stop, r.since = 'h', 's', K.ms_text
    write_group(of, g)
  end
end
