-- Halts entries of a group that do not run: none of them goes out.
--@include keys flag elsewhere freed stand_in

-- Take an entry out of what is on its way, and of what is due. The caller says why, and writes the group.
-- Timeline of a ticket at the broker: it was released, its group is halted, a worker receives it. Its entry is held, so
-- it is stale; what ends the halt releases a new one.
local function call_in(group, g, r)
  if has_flag(g, 'f') and (r.state == 'w' or r.stop == 't') then
    leave_turn(group, r)
    look_now()
  end
  if r.state == 'w' then
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
    redis.call('ZREM', K.due, 'r ' .. group .. ' ' .. r.id)
    r.state, r.since = 'h', K.ms_text
  end
  if has_flag(g, 'k') then
    call_back(r.id)
  end
  redis.call('ZREM', K.due, 'h ' .. group .. ' ' .. r.id)
end

-- Returns whether an entry of a group has failed, and blocks it.
local function is_blocked(g)
  local found = false
  for _, r in ipairs(g) do
    found = found or r.stop == 'b'
  end
  return found
end

-- An entry blocks its group: those beside it that wait for a worker, a turn or other places halt.
local function halt_others(group, g)
  for _, r in ipairs(g) do
    if r.state == 'w' or r.stop == 't' or r.stop == 's' then
      call_in(group, g, r)
      r.stop = 'h'
    end
  end
end

-- Returns why an entry blocks its group, as operate.lua says it; and the same of all that do, the first one first.
local function said_of_block(group, id)
  local mine, lines = '', {}
  for line in string.gmatch(redis.call('HGET', K.flags, 'b ' .. group) or '', '[^\n]+') do
    mine = string.find(line, '{"entry": "' .. id .. '", ', 1, true) == 1 and line or mine
    lines[#lines + 1] = line
  end
  return mine, lines
end

-- An entry has left that had failed. Others may block its group as well; when none does, a sweep lets go out what has
-- halted.
local function end_block(group, g, id)
  if is_blocked(g) then
    local mine, lines = said_of_block(group, id)
    local rest = {}
    for _, line in ipairs(lines) do
      rest[#rest + 1] = line ~= mine and line or nil
    end
    redis.call('HSET', K.flags, 'b ' .. group, table.concat(rest, '\n'))
  else
    clear_flag(group, g, 'b')
    for _, r in ipairs(g) do
      if r.stop == 'h' then
        look_soon(K.HOLDS, 'h ' .. group .. ' ' .. r.id)
      end
    end
  end
end
