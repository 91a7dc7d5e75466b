-- The limits of a group: "l<starts>/<window>/<together>[/<due>]", 0 where there is none. An entry brings those that
-- counted for its call when it was parked. An operator's, see limit.lua, come before them.
--
--   starts, window  so many runs of the group begin within so many ms at most, whoever runs them: its rate
--   together        an entry goes under way while fewer are, and all of those have such a limit, too: the mark n in
--                   the group's state says so
--   due             an entry that took its place before its ETA goes out then (ms)
--@include keys clock flag begins said await

-- Returns whether the next entry may go under way. Beside others it may when all of them have begun, so that the tasks
-- start in order, and nothing halts the group.
local function has_room(g)
  local room = not has_flag(g, 'p') and (#g == 0 or has_flag(g, 'n'))
  for at = 1, room and #g or 0 do
    room = room and g[at].state ~= 'w' and g[at].stop == '-'
  end
  return room
end

-- Returns whether an entry may go under way beside so many others.
local function may_join(group, g, entry, others)
  local limits = limits_of(group, g, entry)
  return (limits.together or 1) > others
end

-- Hold an entry that would go out, when the group's rate is used up, its ETA has not come, or its task has other places
-- that are not the first ones. Returns when it may (ms); nothing when it may now. The caller writes the group.
local function hold_back(group, g, r, entry)
  local limits = limits_of(group, g, entry)
  local free_at, awaits
  if #g == 1 and (limits.together or 1) > 1 ~= has_flag(g, 'n') then
    if has_flag(g, 'n') then
      drop_mark(g, 'n')
    else
      add_mark(g, 'n')
    end
  end
  if limits.starts then
    local begins, starts, window = counted_begins(group)
    if not has_flag(g, 's') then
      add_mark(g, 's')
    end
    if limits.starts > starts or limits.window > window then
      keep_begins(group, begins, math.max(limits.starts, starts), math.max(limits.window, window))
    end
    local within = {}
    for _, other in ipairs(g) do -- one that is released may begin at any time
      if other.id ~= r.id and other.state ~= 'h' and other.stop ~= 'f' then
        begins[#begins + 1] = other.state == 'r' and tonumber(other.since) or now_ms()
      end
    end
    for _, ms in ipairs(begins) do -- one to come was before the clock was set back
      if ms >= now_ms() - limits.window and ms <= now_ms() then
        within[#within + 1] = ms
      end
    end
    table.sort(within)
    local oldest = within[#within - limits.starts + 1]
    free_at = oldest and oldest + limits.window + 1 -- it began within that millisecond
  end
  local due = tonumber(string.match(entry.limits, ' l%d+/%d+/%d+/(%d+)') or 0)
  if due > now_ms() and not string.find(r.id, ';k', 1, true) then -- of a stand-in its task waits
    free_at = math.max(free_at or 0, due)
  end
  if free_at then
    r.state, r.due, r.stop, r.since, r.queue = 'h', digits(free_at), 'l', K.ms_text, entry.queue
    r.owner, r.call, r.release = '-', '-', r.release == '' and '0' or r.release
    redis.call('ZADD', K.due, K.HOLDS + free_at, 'h ' .. group .. ' ' .. r.id)
  elseif has_flag(g, 'k') then
    awaits = await_places(r, entry)
  end
  return free_at or awaits
end
