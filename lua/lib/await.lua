-- Lets a task with several keys wait for its places, see lib/stand_in.lua.
--@include keys clock record entry stand_in
local FAR = 3600000 -- ms: no time says when a task has its other places

-- Hold an entry that would go out: a stand-in, or one whose stand-ins are not all the heads of their groups. The last
-- one lets it go out. Returns when to look again (ms); nothing when it may go out. The caller writes the group.
local function await_places(r, entry)
  local of, name = stands_for(r.id)
  local free_at
  if of then
    free_at = now_ms() + FAR
    local other = record_of(open_group(of), name)
    if other and other.state == 'h' and other.stop == 's' then
      look_soon(K.HOLDS, 'h ' .. of .. ' ' .. name)
    end
  else
    local number = 0
    for each in string.gmatch(redis.call('HGET', K.begins, 'k ' .. r.id) or '', '%S+') do
      number = number + 1
      local place = r.id .. ';k' .. number
      local there = record_of(open_group(each), place)
      if there and there.stop ~= 's' or not there and redis.call('HEXISTS', K.entries, place) == 1 then
        free_at = now_ms() + FAR
      end
    end
  end
  if free_at then
    r.state, r.due, r.stop, r.since, r.queue = 'h', '-', 's', K.ms_text, entry.queue
    r.owner, r.call, r.release = '-', '-', r.release == '' and '0' or r.release
  end
  return free_at
end
