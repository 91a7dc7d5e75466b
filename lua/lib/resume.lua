-- Lets an entry in flight go on.
--@include keys flight release
local REDELIVERED = '"redelivered": true, '

-- Mark the message as redelivered, as a broker does, until a continuation takes its place.
local function mark_redelivered(id)
  local e = read_entry(id)
  if e and string.sub(e.text, e.at, e.at + #REDELIVERED - 1) ~= REDELIVERED then
    redis.call('HSET', K.entries, id, table.concat({
      e.us, ' ', e.group, ' ', e.queue, ' ', string.format('%.0f', e.cut + #REDELIVERED), '\n',
      REDELIVERED, string.sub(e.text, e.at, e.at + e.cut - 1), REDELIVERED, string.sub(e.text, e.at + e.cut),
    }))
  end
end

-- Hold an entry with a continuation until it is due, release any other one. An unreadable one is set aside; the sweep,
-- which knows the group's keys, frees its slot. again: its run had no outcome.
local function resume(lists, id, r, out, again)
  redis.call('ZREM', K.due, 'l ' .. id)
  if again and r.due == '-' then
    mark_redelivered(id)
  end
  if r.stop ~= '-' or (r.due ~= '-' and tonumber(r.due) > K.ms) then
    r.state, r.owner, r.call, r.since = 'held', '-', '-', K.ms_text
    write_flight(id, r)
    if r.stop == '-' then
      redis.call('ZADD', K.due, K.HOLDS + r.due, 'h ' .. id)
    end
  else
    local entry, corrupt = read_entry(id)
    if entry then
      release(lists, id, r.lost, r.group, entry, out)
    else
      set_aside(id, r.group, corrupt and 'corrupt' or 'missing', corrupt)
      count_out(r.group)
      redis.call('ZADD', K.due, K.REST + K.ms, 'x ' .. r.group .. ' ' .. id)
    end
  end
end
