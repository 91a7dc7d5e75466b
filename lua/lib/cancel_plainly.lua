-- The short way of cancel.lua, see lib/plainly.lua.
--@include record flag plainly

-- End the entries of a part, all of which were told. Returns whether it was done; else the group needs the long way.
local function cancel_plainly(line, part, group, g, member, seen, told)
  local places, done = {}, false
  if g.flags == 'c' and not g[2] and (not g[1] or g[1].state == 'r') then
    places = redis.call('LRANGE', part, 0, seen)
    done = #places > 0 and #places == seen and table.concat(places, '\n') == told
      and (g[1] or redis.call('EXISTS', line) == 0) and true or false
  end
  if done then
    for i = 1, #places do
      table.insert(later.entries, string.sub(places[i], 18))
    end
    table.insert(later.parts, part)
    table.insert(later.undue, member)
    add_to(g, 'aside', -#places)
    drop_mark(g, 'c')
    if g[1] or g.aside ~= '0' then
      write_later(group, g)
    else
      table.insert(later.ends, group)
    end
  end
  return done
end
