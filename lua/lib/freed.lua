-- Takes tickets and heads of tenants out, see lib/fair.lua.
--@include keys clock fair
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way

-- A ticket of a group with the mark f has begun or counts no more, or a head leaves its tenant's row. The caller
-- lets the tenant's next head go out, or calls look_now.
local function leave_turn(group, r)
  local text = redis.call('HGET', K.entries, r.id)
  local fair = string.match(text or '', '^%d+ %S+ %S+ %d+ f%d+/(%S+)')
  if fair then
    local of = r.queue .. ' ' .. fair
    local mine = of .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
    redis.call('ZREM', K.on_the_way, OUT .. mine, ROW .. mine)
    freed = redis.call('ZSCORE', K.due, 'f ' .. of) and of or freed
  end
end

-- Let a sweep, or the caller's next call, look at the row of the tenant whose ticket has left.
local function look_now()
  if freed then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'f ' .. freed)
  end
end
