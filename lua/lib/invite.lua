-- A run has begun, and another entry of its group may start beside it, see lib/limits.lua.
--@include keys clock flag

-- Let advance look for it: by the worker, or else by a sweep. Returns 4 as part of an answer's code, or 0.
local function invite(group, g)
  local code = 0
  if has_flag(g, 'n') then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
    code = 4
  end
  return code
end
