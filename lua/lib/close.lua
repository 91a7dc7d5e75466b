-- Ends the state of a group with its last entry.
--@include keys write flag begins

-- Write a group for which there is no new head. With its last entry its state ends, and it drains no more, also while
-- it is paused.
local function close_group(group, g)
  if g.drained then
    clear_flag(group, g, 'd')
  end
  if g.ended and not string.find(g.flags, '[^finoswkv-]') then -- these marks end with the last entry
    redis.call('HDEL', K.groups, group)
    if has_flag(g, 's') then
      forget_begins(group)
    end
  else
    write_group(group, g)
  end
end
