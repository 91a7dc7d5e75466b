-- Cuts heads and entries that wait off a group, see cut.lua.
--@include keys flag entry record withdraw freed window

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
