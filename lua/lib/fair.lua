-- Fairness: an entry may name a tenant, its fair key, and the tenant's weight: the word "f<weight>/<fair key>" before
-- its limits. In each queue at most so many tickets of a tenant are on their way, so that no tenant fills the queue. A
-- head beyond them waits for its turn in the tenant's row. The members of on_the_way for both sort behind those of all
-- queues, and "f <queue> <fair key>" is in due while the row has a head:
--
--   "\127o <queue> <fair key> <release> <group> <entry>"  a ticket of the tenant that is on its way
--   "\127w <queue> <fair key> <number> <group> <entry>"   a head in its row; its record has the number as its release
--
-- The mark f in a group's state says that it has, or had, an entry with a fair key; other groups cost nothing.
--@include keys clock flag
local OUT, ROW = '\127o ', '\127w '
local LOOK = 10000 -- ms until a sweep looks at a tenant's row that nothing has moved; all rows at the same time

-- Let a row be looked at, if nothing moves it before.
local function look_later(of)
  redis.call('ZADD', K.due, K.REST + (math.floor(now_ms() / LOOK) + 1) * LOOK, 'f ' .. of)
end

-- Let a head go out, or wait for its turn. One that was on its way, or ran without an outcome, keeps its turn. Returns
-- whether it waits; the caller writes the group.
local function take_turn(group, g, r, entry)
  local weight, fair = string.match(entry.limits, '^ f(%d+)/(%S+)')
  local waits = false
  if fair then
    if not has_flag(g, 'f') then
      add_mark(g, 'f')
    end
    local keeps = r.state == 'w' or r.state == 'r' and r.due == '-'
    if r.release ~= '' then
      local mine = r.queue .. ' ' .. fair .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
      redis.call('ZREM', K.on_the_way, OUT .. mine, ROW .. mine)
    end
    local of = entry.queue .. ' ' .. fair
    local before = keeps and 0
      or redis.call('ZLEXCOUNT', K.on_the_way, '[' .. ROW .. of .. ' ', '(' .. ROW .. of .. ' \127')
    local out = keeps and 0
      or redis.call('ZLEXCOUNT', K.on_the_way, '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127')
    waits = not keeps and (before > 0 or out >= tonumber(weight))
    if waits then
      local number = draw_number()
      r.state, r.stop, r.due, r.since, r.queue = 'h', 't', '-', K.ms_text, entry.queue
      r.owner, r.call, r.fence, r.release = '-', '-', '-', number
      redis.call('ZADD', K.on_the_way, 0, ROW .. of .. ' ' .. number .. ' ' .. group .. ' ' .. r.id)
      if before == 0 then
        look_later(of)
      end
    end
  end
  return waits
end

-- A ticket goes out: it counts for its tenant.
local function count_turn(group, r, entry)
  local fair = string.match(entry.limits, '^ f%d+/(%S+)')
  if fair then
    local mine = r.queue .. ' ' .. fair .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
    redis.call('ZADD', K.on_the_way, 0, OUT .. mine)
  end
end

-- Returns whether a head may begin without the broker, also on brokers whose lists nobody sees: one with a fair key
-- lets others that are on their way have their turns.
local function may_begin(entry)
  local fair = string.find(entry.limits, '^ f')
  return not fair
    or redis.call('ZLEXCOUNT', K.on_the_way, '[' .. entry.queue .. ' ', '(' .. entry.queue .. ' \127') == 0
end
