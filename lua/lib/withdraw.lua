-- Takes out entries.
--@include keys write record flag entry identity window stand_in leave freed halt

-- Take out an entry that does not run; through a stand-in, its task. The caller removes the place in line, and writes
-- the group. Returns the text of the task's entry, or '' when it is gone already; whether it had failed and blocked its
-- group, which is unblocked then; its name, and its group.
local function withdraw(id, group, g)
  local of, name, at, left = group, id, g, false
  if has_flag(g, 'k') then
    left = is_left_behind(id)
    local its, known = stands_for(id)
    if known and not left then
      of, name, at = its, known, open_group(its)
    end
  end
  local r, text = record_of(at, name), redis.call('HGET', K.entries, name)
  local failed = r and r.stop == 'b'
  if r and has_flag(at, 'f') then
    leave_turn(of, r)
    look_now()
  end
  local stays = name ~= id and not r and has_flag(at, 'c') -- its place may be cut off
  if left then
    text = nil
    remove_left(id)
  elseif not stays and redis.call('HDEL', K.entries, name) == 1 then
    redis.call('HINCRBY', K.stats, 'tasks_removed', 1)
  end
  free_identity(name, of, at, failed)
  if redis.call('ZREM', K.due, 'e ' .. of .. ' ' .. name) == 1 then
    leave_window(of, at, name)
    add_to(at, 'aside', -1)
  end
  if r then
    redis.call('ZREM', K.due, 'h ' .. of .. ' ' .. name, 'r ' .. of .. ' ' .. name, 'b ' .. of .. ' ' .. name)
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. of)
    remove_record(at, name)
  end
  if failed then
    end_block(of, at, name)
  elseif not left then
    redis.call('HINCRBY', K.stats, 'tasks_revoked', 1)
  end
  if has_flag(g, 'k') then
    leave_places(name, id)
    if name ~= id then
      add_to(at, 'empty', not r and not stays and 1 or 0)
      write_group(of, at)
      look_soon(K.REST, 'a ' .. of)
    end
    if stays then
      redis.call('HSET', K.begins, 'k ' .. name, '!')
    end
  end
  return text or '', failed, name, of
end
