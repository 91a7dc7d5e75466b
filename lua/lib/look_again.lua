-- Looks again at the heads that a rate holds back, as it has changed.
--@include keys resume

local function look_again(lists, group, g, out)
  for at = #g, 1, -1 do
    local r = g[at]
    if r.state == 'h' and r.stop == 'l' then
      redis.call('ZREM', K.due, 'h ' .. group .. ' ' .. r.id)
      r.due, r.stop = '-', '-'
      resume(lists, group, g, r, out)
    end
  end
end
