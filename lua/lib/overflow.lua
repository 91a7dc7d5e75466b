-- Bounds the depth of a group: its parked entries. Its head, which is released, running or held, does not count.
--@include keys write record flag entry identity
local WALK = 500 -- empty places that one call may walk over

-- Returns whether a group has as many parked entries as it may have; most: nil: any number.
local function is_full(line, g, most)
  return most and redis.call('LLEN', line) - g.empty + g.aside >= most
end

-- Take out the first entry in line: the oldest one. Returns its name and its text; nothing when none is in line, or it
-- has places in other groups, too.
local function drop_oldest(line, group, g)
  local id, text, several
  for _ = 1, WALK do
    local item = not text and not several and redis.call('LPOP', line)
    if item then
      id = string.sub(item, 18)
      local entry, corrupt = read_entry(id)
      several = entry and has_flag(g, 'k')
        and (entry.cut == 0 or redis.call('HEXISTS', K.begins, 'k ' .. id) == 1)
      if several then
        redis.call('LPUSH', line, item)
      elseif entry and entry.us == string.sub(item, 1, 16) then
        text = entry.text
        redis.call('HDEL', K.entries, id)
        free_identity(id, group, g, false)
        redis.call('HINCRBY', K.stats, 'tasks_removed', 1)
        redis.call('HINCRBY', K.stats, 'tasks_revoked', 1)
      elseif corrupt then
        set_aside(id, group, 'corrupt', corrupt)
      else -- it was revoked: its place is empty
        add_to(g, 'empty', -1)
      end
    end
  end
  write_group(group, g)
  return text and id, text
end

-- Let a new entry take the room of the oldest one, whose name and text go to `out`. Returns nothing, and whether the
-- line was left empty, so that the new one has no place in it yet; -3 when there is none to drop.
local function make_room(line, group, g, id, text, delay, out, producer, number, keep)
  local refused, first = -3, nil
  out[1], out[2] = drop_oldest(line, group, g)
  if out[1] then
    redis.call('HSET', K.entries, id, text)
    refused, first = nil, delay <= 0 and redis.call('RPUSHX', line, string.sub(text, 1, 17) .. id) == 0
  end
  redis.call('SET', producer, table.concat({ number, out[1], out[2] }, ' '), 'PX', keep) -- for a repetition
  return refused, first
end
