-- A run has begun, and another entry of its group may start beside it, see lib/limits.lua.
--@include keys clock flag

-- Let advance look for it: by the worker, or else by a sweep. Returns 4 as part of an answer's code, or 0.
local function invite(group, g)
  if g and has_flag(g, 'n') then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
    return 4
  end
  return 0
end
