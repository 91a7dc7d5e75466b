-- A finishing worker takes the next ticket of the lists it consumes, and begins it in the same step.
local STALE = 20 -- stale tickets that one call may drop

-- Returns id and message; nothing when the lists are empty, or when the next message is not a ticket of
-- this gate: that one keeps its turn and goes the broker's way.
local function take_ticket(key, count, owner, call, ttl)
  local dropped = 0
  for i = 0, count - 1 do
    while true do
      local message = redis.call('RPOP', KEYS[key + i])
      if not message then
        break
      end
      local tag, fence, id =
        string.match(message, '^{"properties": {"delivery_tag": "gf (%S+) (%d+) %d+ %d+ ([^"]+)"')
      if tag ~= K.tag or dropped == STALE then
        redis.call('RPUSH', KEYS[key + i], message)
        return nil
      end
      local r = read_flight(id)
      if r and r.state == 'released' and r.fence == fence then
        mark_seen(id, r)
        start(id, r, owner, call, ttl)
        return id, message
      end
      dropped = dropped + 1
    end
  end
  return nil
end

-- The message that an earlier run of this call took, while its lease lasts.
local function taken_before(id, owner, call)
  local r, entry = read_flight(id), read_entry(id)
  if r and entry and r.state == 'running' and r.owner == owner and r.call == call then
    return compose(id, entry, r)
  end
  return ''
end
