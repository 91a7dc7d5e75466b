-- The pulse of the sweeps, and the watch.
--
-- No mass reclaim: after a time without any sweep leases are left alone for a whole ttl, so that every living owner
-- renews first. (Redis was away, or no worker lived; a jump of the clock looks the same.)
--
-- One worker at a time watches. It alone learns when the next member is due, so that not all of them wake for it. The
-- watch ends by itself unless its holder sweeps; the bell hands it over to the worker it wakes.
--@include keys clock

-- Returns the time (ms) since when there was no gap, and whether this worker watches.
-- Without a pulse, all data may have been lost, and the stamp with it.
local function beat(pulse, ttl, owner, watch, woken, stamp, stamped)
  local last, since, watcher, till = string.match(redis.call('GET', pulse) or '', '^(%d+) (%d+) (%S+) (%d+)$')
  if not last or math.abs(now_ms() - tonumber(last)) > ttl / 2 then
    since = K.ms_text
  end
  if not last and stamped ~= '' then
    redis.call('SET', stamp, stamped, 'NX')
  end
  local left = (tonumber(till) or 0) - now_ms()
  if woken == '1' or watcher == owner or left <= 0 or left > watch then
    watcher, till = owner, digits(now_ms() + watch)
  end
  redis.call('SET', pulse, table.concat({ K.ms_text, since, watcher, till }, ' '))
  return tonumber(since), watcher == owner
end
