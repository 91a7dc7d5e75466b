-- What becomes of an entry whose record nobody can read: whoever acts on the entry makes "c <id>" due, and the sweep
-- makes it a dead letter.
--@include keys flight release

-- Returns the record; with one that can't be read, let the sweep make the entry a dead letter.
local function read_or_bury(id)
  local r, corrupt = read_flight(id)
  if corrupt then
    redis.call('ZADD', K.due, K.REST + K.ms, 'c ' .. id)
  end
  return r
end

-- Make a dead letter of an entry whose record can't be read; its group is known from the entry alone.
local function bury_record(id)
  local entry = read_entry(id)
  local _, corrupt = read_flight(id)
  if corrupt then
    bury(id, entry and entry.group or '-', 'corrupt', entry and entry.text or corrupt)
    if entry then
      count_out(entry.group)
      redis.call('ZADD', K.due, K.REST + K.ms, 'x ' .. entry.group .. ' ' .. id)
    end
  end
  redis.call('ZREM', K.due, 'c ' .. id)
end
