-- The short way of cut.lua, see lib/plainly.lua.
--@include clock record flag entry plainly

-- Cut off a group. Returns the places of its part; nothing when it needs the long way, and nothing was done.
local function cut_plainly(line, part, group, g, member, bound, limit, due_at)
  local r, places = g[1], nil
  local head = r and r.state == 'w' and read_entry(r.id)
  if g.flags == '-' and g.aside == '0' and not g[2] and (not r or r.state == 'r' or head) then
    places = redis.call('LRANGE', line, 0, limit)
    local late = #places > limit or head and tonumber(head.us) > bound
    for i = 1, #places do
      late = late or tonumber(string.match(places[i], '^%d+') or 0) > bound
    end
    if late or #places > 0 and redis.call('RENAMENX', line, part) == 0 then
      places = nil
    end
  end
  if places then
    g.aside, g.empty = digits(#places - g.empty), '0'
    if head then
      table.insert(later.tickets, r.queue .. ' ' .. r.release .. ' ' .. group)
      table.insert(later.undue, 'r ' .. group .. ' ' .. r.id)
      table.insert(places, 1, head.us .. ' ' .. r.id)
      redis.call('LPUSH', part, places[1])
      g[1] = nil
      add_to(g, 'aside', 1)
    end
    if #places > 0 then
      add_mark(g, 'c')
      table.insert(later.due, due_at)
      table.insert(later.due, member)
      write_later(group, g)
    end
  end
  return places
end
