-- Lets an entry join its line later.
--@include keys clock write record bell window

-- Schedule an entry that joins its line after a delay (ms); the bell wakes a sweeping worker when none comes sooner.
-- value: it waits in its window so long, see lib/window.lua; nothing: for its ETA.
local function schedule(group, g, id, delay, wake, value)
  local at = K.ETAS + now_ms() + delay
  local sooner = redis.call('ZRANGEBYSCORE', K.due, K.ETAS, at, 'LIMIT', 0, 1)
  redis.call('ZADD', K.due, at, 'e ' .. group .. ' ' .. id)
  add_to(g, 'aside', 1)
  if value then
    wait_in_window(group, g, id, value, delay)
  end
  write_group(group, g)
  if not sooner[1] then
    ring(wake)
  end
end
