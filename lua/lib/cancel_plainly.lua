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
      later.entries[#later.entries + 1] = string.sub(places[i], 18)
    end
    later.parts[#later.parts + 1] = part
    later.undue[#later.undue + 1] = member
    add_to(g, 'aside', -#places)
    drop_mark(g, 'c')
    if g[1] or g.aside ~= '0' then
      write_later(group, g)
    else
      later.ends[#later.ends + 1] = group
    end
  end
  return done
end
