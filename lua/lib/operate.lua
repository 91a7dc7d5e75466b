-- The common parts of operators' scripts.
--@include keys flight release unreadable advance
local KEPT = 1000 -- actions that are remembered

-- Note an action in the step that does it, so that the audit is complete also when the caller is gone.
local function note(audit, text)
  if text ~= '' then
    redis.call('LPUSH', audit, K.ms_text .. ' ' .. text)
    redis.call('LTRIM', audit, 0, KEPT - 1)
  end
end

-- Close the JSON of a flag with the time.
local function stamped(flag)
  return flag .. '"at_ms": ' .. K.ms_text .. '}'
end

local function in_flight(group_key)
  local ids = {}
  for _, field in ipairs(redis.call('HKEYS', group_key)) do
    if string.sub(field, 1, 2) == 'f ' then
      ids[#ids + 1] = string.sub(field, 3)
    end
  end
  return ids
end

-- Returns the task, quoted, that an entry's name stands for; see keys.py.
local function task_of(name)
  return string.match(name, '^[^;]*')
end

-- Returns the text of an entry that stands at its place in the line, also of an unreadable one; else nothing.
local function text_in_line(us, id)
  local entry, corrupt = read_entry(id)
  return entry and entry.us == us and entry.text or corrupt
end

-- Halt a group with an entry that has failed for good: the entry stays the head, and an operator decides on it.
local function block(id, r, group_key, flag)
  r.state, r.owner, r.call, r.stop, r.since = 'held', '-', '-', 'b', K.ms_text
  write_flight(id, r)
  redis.call('HSET', group_key, 'blocked', stamped(flag))
  redis.call('HINCRBY', K.stats, 'tasks_blocked', 1)
end

-- Take out an entry that does not run, and free its slot. The caller removes its place in the line.
-- Returns its text; and whether it had failed and blocked its group, which is unblocked then.
local function withdraw(id, group_key, group)
  local r, text = read_or_set_aside(id), redis.call('HGET', K.entries, id)
  local failed = r and r.stop == 'b'
  redis.call('HDEL', K.entries, id)
  redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. id, 'h ' .. id, 'r ' .. id)
  if r then
    redis.call('HDEL', K.flight, id)
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
  end
  free_slot(group_key, id)
  count_out(group)
  if failed then
    redis.call('HDEL', group_key, 'blocked')
  else
    redis.call('HINCRBY', K.stats, 'tasks_revoked', 1)
  end
  return text or '', failed
end
