-- Cuts entries off a group, see cut.lua: they stand in a part of their own then, and count as aside.
--@include record operate

-- Cut off a line. Returns the number of entries, and whether there are more.
local function cut_line(line, part, g, limit, bound)
  local length, moved, more = redis.call('LLEN', line), 0, false
  local late = length > limit and tonumber(string.match(redis.call('LINDEX', line, -1), '^%d+') or 0) > bound
  for _, item in ipairs(length > limit and {} or redis.call('LRANGE', line, 0, -1)) do
    late = late or tonumber(string.match(item, '^%d+') or 0) > bound
  end
  local known = length > 0 and redis.call('EXISTS', part) == 1
  if length > 0 and not late and not known then
    redis.call('RENAME', line, part)
    moved = length - g.empty
    g.empty = '0'
    add_to(g, 'aside', moved)
    length = 0
  end
  for step = 1, length do
    local item = redis.call('LPOP', line)
    local us, id = string.match(item, '^(%d+) (.*)$')
    if us and tonumber(us) > bound then
      redis.call('LPUSH', line, item)
      break
    end
    if text_in_line(us, id or '') then
      redis.call('RPUSH', part, item)
      add_to(g, 'aside', 1)
      moved = moved + 1
    else
      add_to(g, 'empty', -1)
    end
    if step == limit and step < length then
      more = true
      break
    end
  end
  return moved, more
end
