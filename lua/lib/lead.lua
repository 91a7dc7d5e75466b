-- Lets a follower become the head of its group, see lib/follow.lua.
--@include keys flag entry

-- Returns the record of the group's first follower, which the caller completes and writes, and its entry, when nothing
-- else of the group is under way; nothing when there is none, or it may not go out.
local function take_follower(line, g)
  local head, entry
  local free = not has_flag(g, 'p')
  for _, r in ipairs(g) do
    free = free and r.stop == 'f'
  end
  while free and g[1] and not head do
    local found, corrupt = read_entry(g[1].id)
    if found then
      head, entry = g[1], found
      head.stop = '-'
    else
      if corrupt then -- it is set aside there, when its turn comes
        redis.call('LPUSH', line, K.us_text .. ' ' .. g[1].id)
      end
      table.remove(g, 1)
    end
  end
  return head, entry
end
