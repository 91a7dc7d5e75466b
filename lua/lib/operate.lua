-- The common parts of operators' scripts.
--@include keys clock write record flag entry identity freed
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

-- Returns the task, quoted, that an entry's name stands for; see keys.py.
local function task_of(name)
  return string.match(name, '^[^;]*')
end

-- Returns the text of an entry that stands at its place in the line, also of an unreadable one; else nothing.
local function text_in_line(us, id)
  local entry, corrupt = read_entry(id)
  return entry and entry.us == us and entry.text or corrupt
end

-- Halt a group with an entry that has failed for good: the entry stays the head, and an operator decides on it. lasts:
-- ms until the group goes on without it; 0: it does not.
local function block(group, g, r, flag, lasts)
  r.state, r.owner, r.call, r.stop, r.since = 'h', '-', '-', 'b', K.ms_text
  if lasts > 0 then
    r.due = digits(now_ms() + lasts)
    redis.call('ZADD', K.due, K.REST + r.due, 'b ' .. group .. ' ' .. r.id)
  end
  set_flag(group, g, 'b', stamped(flag))
  write_group(group, g)
  redis.call('HINCRBY', K.stats, 'tasks_blocked', 1)
end

-- Take out an entry that does not run. The caller removes its place in the line, and writes the group.
-- Returns its text; and whether it had failed and blocked its group, which is unblocked then.
local function withdraw(id, group, g)
  local r, text = record_of(g, id), redis.call('HGET', K.entries, id)
  local failed = r and r.stop == 'b'
  if r and has_flag(g, 'f') then
    leave_turn(group, r)
    look_now()
  end
  if redis.call('HDEL', K.entries, id) == 1 then
    redis.call('HINCRBY', K.stats, 'tasks_removed', 1)
  end
  free_identity(id, group, g, failed)
  if redis.call('ZREM', K.due, 'e ' .. group .. ' ' .. id) == 1 then
    add_to(g, 'aside', -1)
  end
  if r then
    redis.call('ZREM', K.due, 'h ' .. group .. ' ' .. id, 'r ' .. group .. ' ' .. id, 'b ' .. group .. ' ' .. id)
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
    remove_record(g, id)
  end
  if failed then
    clear_flag(group, g, 'b')
  else
    redis.call('HINCRBY', K.stats, 'tasks_revoked', 1)
  end
  return text or '', failed
end
