-- The line of a group after a final failure of its head, see fail.lua.
--@include keys clock write record flag entry breaker

-- Cut off the line of a group: a sweep cancels it, see cancel.lua. The caller writes the group. Calls of one batch have
-- the same fence, and so one part: what came meanwhile joins it.
local function cut_rest(group, g, line, cut_off, fence)
  local length = redis.call('LLEN', line)
  if length > 0 then
    if redis.call('RENAMENX', line, cut_off) == 0 then
      for first = 0, length - 1, 1000 do
        redis.call('RPUSH', cut_off, unpack(redis.call('LRANGE', line, first, first + 999)))
      end
      redis.call('DEL', line)
    end
    add_to(g, 'aside', length - g.empty)
    g.empty = '0'
    if redis.call('ZADD', K.due, K.REST + now_ms(), 'd ' .. group .. ' ' .. fence) == 1 then
      add_mark(g, 'c')
    end
  end
end

-- A task with several keys has failed: its other groups stand in the arguments from a place on, after their number. Of
-- each of them the line, the list to cut it off, and its failures stand in the keys. Returns whether a breaker opens.
local function fail_elsewhere(key, arg, policy, fence, most, window)
  local broken = false
  for at = 1, tonumber(ARGV[arg] or 0) do
    local of, first = ARGV[arg + at], key + 3 * at - 3
    local other = open_group(of)
    local opened = opens(KEYS[first + 2], other, most, window)
    broken = broken or opened
    if policy == 'cancel_rest' then
      cut_rest(of, other, KEYS[first], KEYS[first + 1], fence)
    end
    write_group(of, other)
  end
  return broken
end
