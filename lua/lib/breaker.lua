-- The circuit breaker of a group, see fail.lua. It opens as a block does. When that ends, the next run is a probe: its
-- failure opens it again, any other end closes it. The mark o in the group's state says that it has opened since the
-- last good end. While it is closed, failures has the times of the final failures in the window.
--@include keys clock flag

-- Count a final failure. Returns whether it opens the breaker. most: failures within the window (ms); 0: there is none.
local function opens(failures, g, most, window)
  local broken = most > 0 and has_flag(g, 'o')
  if most > 0 and not broken then
    local kept, count = '', 1
    for ms in string.gmatch(redis.call('GET', failures) or '', '%d+') do
      if tonumber(ms) > now_ms() - window then
        kept, count = kept .. ms .. ' ', count + 1
      end
    end
    broken = count >= most
    if broken then
      redis.call('DEL', failures)
      add_mark(g, 'o')
    else
      redis.call('SET', failures, kept .. K.ms_text, 'PX', window)
    end
  end
  return broken
end
