-- What becomes of an entry whose record nobody can read: whoever acts on the entry makes "c <id>" due, and the sweep
-- sets it aside, as a dead letter.
--@include keys flight release

-- Returns the record; with one that can't be read, let the sweep set the entry aside.
local function read_or_set_aside(id)
  local r, corrupt = read_flight(id)
  if corrupt then
    redis.call('ZADD', K.due, K.REST + K.ms, 'c ' .. id)
  end
  return r
end

-- Set an entry aside whose record can't be read; its group is known from the entry alone.
local function set_record_aside(id)
  local entry = read_entry(id)
  local _, corrupt = read_flight(id)
  if corrupt then
    set_aside(id, entry and entry.group or '-', 'corrupt', entry and entry.text or corrupt)
    if entry then
      count_out(entry.group)
      redis.call('ZADD', K.due, K.REST + K.ms, 'x ' .. entry.group .. ' ' .. id)
    end
  end
  redis.call('ZREM', K.due, 'c ' .. id)
end
