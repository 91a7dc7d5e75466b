-- Lets an entry join its line later.
--@include keys clock write record bell

-- Schedule an entry that joins its line after a delay (ms); the bell wakes a sweeping worker when none comes sooner.
local function schedule(group, g, id, delay, wake)
  local at = K.ETAS + now_ms() + delay
  local sooner = redis.call('ZRANGEBYSCORE', K.due, K.ETAS, at, 'LIMIT', 0, 1)
  redis.call('ZADD', K.due, at, 'e ' .. group .. ' ' .. id)
  add_to(g, 'aside', 1)
  write_group(group, g)
  if not sooner[1] then
    ring(wake)
  end
end
