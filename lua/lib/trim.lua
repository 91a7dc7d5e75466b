-- Takes empty places off the front of a line, so that nobody has to walk over them later.
--@include keys clock record entry

-- Take off the first places whose entry was revoked, so many at most. Returns their number. The caller writes the
-- group.
local function trim(line, g, most)
  local taken, slice, stands = 0, 1, false
  most = math.min(most, tonumber(g.empty))
  while taken < most and not stands do
    local items = redis.call('LRANGE', line, taken, math.min(taken + slice, most) - 1)
    stands = not items[1]
    for at = 1, #items do
      local entry, corrupt
      if not stands then
        entry, corrupt = read_entry(string.sub(items[at], 18))
        stands = corrupt or entry and entry.us == string.sub(items[at], 1, 16)
        taken = stands and taken or taken + 1
      end
    end
    slice = 100
  end
  if taken > 0 then
    redis.call('LTRIM', line, taken, -1)
    add_to(g, 'empty', -taken)
  end
  return taken
end

-- Do so, and let a sweep go on when there may be more.
local function trim_front(line, group, g, most)
  local taken = trim(line, g, most)
  if taken == most then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
  end
  return taken
end
