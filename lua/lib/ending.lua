-- Ends a run, see finish.lua.
--@include keys record flag limits fair resume advance continuation begins close leave

-- End a run, or let its continuation take its place: the one that stands in the arguments from a place on, if any.
-- Returns the ms until the continuation is due, or -1; and the group's next head with its entry, which the caller
-- releases; and when that one may go out (ms), if the group's limits hold it back: 0 when others of its tenant come
-- first.
local function end_run(lists, line, group, g, r, arg, out)
  local due, head, entry, held = -1, nil, nil, nil
  if r.due ~= '-' or ARGV[arg] then
    due = take_continuation(group, r, arg)
  else
    -- The first write frees memory: a full Redis refuses others, but nothing that follows it.
    redis.call('HDEL', K.entries, r.id)
    redis.call('HINCRBY', K.stats, 'tasks_finished', 1)
  end
  if g.flags ~= '-' then
    note_begin(group, g, r)
  end
  if due >= 0 and not ARGV[arg + 4] then
    resume(lists, group, g, r, out)
  else
    if due >= 0 then
      rejoin(line, group, g, r, due)
    elseif g.flags ~= '-' then
      if not has_flag(g, 'b') then -- else another one has opened the breaker meanwhile
        drop_mark(g, 'o') -- see lib/breaker.lua
      end
      end_entry(r.id, group, g)
    end
    remove_record(g, r.id)
    head, entry = take_head(line, group, g)
    if not head then
      close_group(group, g)
    elseif entry.limits ~= '' or g.flags ~= '-' then
      held = hold_back(group, g, head, entry)
      if not held then
        local waits = take_turn(group, g, head, entry)
        held = waits and 0 or nil
      end
    end
  end
  return due, head, entry, held
end
