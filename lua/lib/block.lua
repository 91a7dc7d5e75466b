-- Blocks a group, see fail.lua.
--@include keys clock write flag halt operate

-- Halt a group with an entry that has failed for good: the entry stays the head, and an operator decides on it. lasts:
-- ms until the group goes on without it; 0: it does not. Of entries that block it beside each other, each has a line in
-- what the flag says.
local function block(group, g, r, flag, lasts)
  local before = is_blocked(g) and redis.call('HGET', K.flags, 'b ' .. group) .. '\n' or ''
  r.state, r.owner, r.call, r.stop, r.since = 'h', '-', '-', 'b', K.ms_text
  if lasts > 0 then
    r.due = digits(now_ms() + lasts)
    redis.call('ZADD', K.due, K.REST + r.due, 'b ' .. group .. ' ' .. r.id)
  end
  set_flag(group, g, 'b', before .. stamped('{"entry": "' .. r.id .. '", ' .. string.sub(flag, 2)))
  halt_others(group, g)
  write_group(group, g)
  redis.call('HINCRBY', K.stats, 'tasks_blocked', 1)
end
