-- The continuation of a run, see finish.lua.
--@include keys clock write record release

-- Take the continuation of a run that is over: what stands in the arguments from a place on, or what was stored while
-- it ran. Returns the ms until it is due.
local function take_continuation(group, r, arg)
  free_group(group)
  redis.call('HINCRBY', K.stats, 'runs_continued', 1)
  if ARGV[arg] then
    store_continuation(group, r, ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3])
    redis.call('HINCRBY', K.stats, 'tasks_held', 1)
  end
  return math.max(tonumber(r.due) - now_ms(), 0)
end

-- Let it join the tail of its line, at once or when it is due (ms from now). The caller removes its record.
local function rejoin(line, group, g, r, delay)
  if delay > 0 then
    redis.call('ZADD', K.due, K.ETAS + r.due, 'e ' .. group .. ' ' .. r.id)
    add_to(g, 'aside', 1)
  else
    redis.call('RPUSH', line, string.match(redis.call('HGET', K.entries, r.id), '^%d+') .. ' ' .. r.id)
  end
end
