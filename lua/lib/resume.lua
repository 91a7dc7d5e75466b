-- Lets an entry under way go on.
--@include keys clock write record flag entry release leave
local REDELIVERED = '"redelivered": true, '

-- Mark the message as redelivered, as a broker does, until a continuation takes its place.
local function mark_redelivered(id)
  local e = read_entry(id)
  if e and string.sub(e.text, e.at, e.at + #REDELIVERED - 1) ~= REDELIVERED then
    redis.call('HSET', K.entries, id, table.concat({
      e.us, ' ', e.group, ' ', e.queue, ' ', string.format('%.0f', e.cut + #REDELIVERED), e.limits, '\n',
      REDELIVERED, string.sub(e.text, e.at, e.at + e.cut - 1), REDELIVERED, string.sub(e.text, e.at + e.cut),
    }))
  end
end

-- Hold an entry with a continuation until it is due, release any other one. One whose entry can't be read is set aside;
-- a sweep lets its group go on. again: its run had no outcome.
local function resume(lists, group, g, r, out, again)
  free_group(group)
  if again and r.due == '-' then
    mark_redelivered(r.id)
  end
  local stopped = r.stop == 'p' or r.stop == 'b'
  local waits = r.due ~= '-' and tonumber(r.due) > now_ms()
  if not stopped and not waits and has_flag(g, 'b') then -- another one of its group has failed
    r.stop, r.due, stopped = 'h', '-', true
  end
  if stopped or waits then
    r.state, r.owner, r.call, r.since = 'h', '-', '-', K.ms_text
    write_group(group, g)
    if not stopped then
      redis.call('ZADD', K.due, K.HOLDS + r.due, 'h ' .. group .. ' ' .. r.id)
    end
  else
    local entry, corrupt = read_entry(r.id)
    local left = false
    if entry and has_flag(g, 'k') then
      left = is_left_behind(r.id)
    end
    if entry and not left then
      release(lists, group, g, r, entry, out)
    else
      if left then
        remove_left(r.id)
      else
        leave_places(r.id)
        set_aside(r.id, group, corrupt and 'corrupt' or 'missing', corrupt)
      end
      remove_record(g, r.id)
      write_group(group, g)
      redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
    end
  end
end
