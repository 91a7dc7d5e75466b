-- Lets the next heads of a tenant go out, see lib/fair.lua.
--@include keys clock write record entry release fair
local MOST = 20 -- members that one call looks at

-- Let heads go out, the first ones in the tenant's row, while its weight allows it. again: the row was due, and is
-- looked at again later. Returns their names, with blanks before.
local function next_turns(lists, of, out, again)
  local from, to = '[' .. ROW .. of .. ' ', '(' .. ROW .. of .. ' \127'
  local names, more = '', true
  for _ = 1, MOST do
    local member = more and redis.call('ZRANGEBYLEX', K.on_the_way, from, to, 'LIMIT', 0, 1)[1]
    if not member then
      break
    end
    local drawn, group, id = string.match(member, ' (%d+) (%S+) (%S+)$')
    local g = open_group(group)
    local r, entry = record_of(g, id), read_entry(id)
    local weight = entry and string.match(entry.limits, '^ f(%d+)/')
    local count = redis.call('ZLEXCOUNT', K.on_the_way, '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127')
    if not r or r.stop ~= 't' or r.release ~= drawn then -- it has left
      redis.call('ZREM', K.on_the_way, member)
    elseif not weight then -- unreadable: the sweep sets it aside
      redis.call('ZREM', K.on_the_way, member)
      r.stop = '-'
      write_group(group, g)
      redis.call('ZADD', K.due, K.HOLDS + now_ms(), 'h ' .. group .. ' ' .. id)
    elseif count < tonumber(weight) then
      r.state, r.stop = 'w', '-' -- its turn has come
      release(lists, group, g, r, entry, out)
      names, more = names .. ' ' .. id, r.state == 'h' or count + 1 < tonumber(weight)
      if r.state == 'h' then -- its rate holds it back now
        redis.call('ZREM', K.on_the_way, member)
      end
    else
      more = false
    end
  end
  if redis.call('ZLEXCOUNT', K.on_the_way, from, to) == 0 then
    redis.call('ZREM', K.due, 'f ' .. of)
  elseif more then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'f ' .. of)
  elseif again then
    look_later(of)
  end
  return names
end
