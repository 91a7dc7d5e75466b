-- Cuts entries off a group, see cut.lua: they stand in a part of their own then, and count as aside.
--@include keys record flag entry operate withdraw freed window

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

-- Cut off heads that do not run; one that has failed and blocks its group is gone. Returns the numbers of both.
local function cut_heads(part, group, g, bound)
  local heads, failed = 0, 0
  for at = #g, 1, -1 do
    local r = g[at]
    local entry = r.state ~= 'r' and read_entry(r.id)
    if entry and tonumber(entry.us) <= bound then
      if r.stop == 'b' then
        withdraw(r.id, group, g)
        failed = failed + 1
      else
        if has_flag(g, 'f') then
          leave_turn(group, r)
          look_now()
        end
        redis.call('ZREM', K.due, 'h ' .. group .. ' ' .. r.id, 'r ' .. group .. ' ' .. r.id)
        redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
        remove_record(g, r.id)
        redis.call('LPUSH', part, entry.us .. ' ' .. r.id)
        add_to(g, 'aside', 1)
        heads = heads + 1
      end
    end
  end
  return heads, failed
end

-- Cut off entries that wait for an ETA, or in a window. Returns their number.
local function cut_scheduled(part, group, g, names, bound)
  local due = 0
  for name in string.gmatch(names, '%S+') do
    local entry = read_entry(name)
    if entry and tonumber(entry.us) <= bound and redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. name) == 1 then
      leave_window(group, g, name)
      redis.call('RPUSH', part, entry.us .. ' ' .. name)
      due = due + 1
    end
  end
  return due
end
