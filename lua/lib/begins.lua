-- The begins that a group's rate counts, see lib/limits.lua: a ticket may be on its way for long, so a release tells
-- nothing. Those of runs that are over stand in begins: "<starts> <window> <ms>...", the last ones, for the highest
-- rate so far; the group's records have the others. The mark s in its state says that they are counted: from its first
-- entry with a rate on, until it ends.
--@include keys clock flag entry

-- Returns the begins that a group's rate counts, and for which rate they were kept.
local function counted_begins(group)
  local starts, window, times = string.match(redis.call('HGET', K.begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
  local begins = {}
  for ms in string.gmatch(times or '', '%d+') do
    begins[#begins + 1] = tonumber(ms)
  end
  return begins, tonumber(starts or 0), tonumber(window or 0)
end

local function keep_begins(group, begins, starts, window)
  table.sort(begins)
  local text = digits(starts) .. ' ' .. digits(window)
  for at = math.max(#begins - starts + 1, 1), #begins do
    if begins[at] >= now_ms() - window and begins[at] <= now_ms() then
      text = text .. ' ' .. digits(begins[at])
    end
  end
  redis.call('HSET', K.begins, 's ' .. group, text)
end

-- A run of a task with several keys is over: it counts in its other groups, too.
local function note_elsewhere(r)
  for of in string.gmatch(redis.call('HGET', K.begins, 'k ' .. r.id) or '', '%S+') do
    local other = open_group(of)
    if has_flag(other, 's') then
      local begins, starts, window = counted_begins(of)
      begins[#begins + 1] = tonumber(r.since)
      keep_begins(of, begins, starts, window)
    end
  end
end

-- A run is over, in whatever way: the group's rate counts when it began. With its followers it began once.
local function note_begin(group, g, r)
  if has_flag(g, 's') and r.state == 'r' and r.stop ~= 'f' then
    local begins, starts, window = counted_begins(group)
    begins[#begins + 1] = tonumber(r.since)
    keep_begins(group, begins, starts, window)
  end
  if has_flag(g, 'k') and r.state == 'r' then
    note_elsewhere(r)
  end
end

-- A group with a rate ends: what was counted goes with it, once it is out of the window.
local function forget_begins(group)
  local _, _, window = counted_begins(group)
  redis.call('ZADD', K.due, K.REST + now_ms() + window, 't ' .. group)
end
