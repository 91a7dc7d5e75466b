-- Entries, and what becomes of those that can't be read.
--@include keys clock group write record letters

-- Returns the entry; nothing when there is none, and its text when it can't be read. read: the text, if it is read.
local function read_entry(id, read)
  local text = read or redis.call('HGET', K.entries, id)
  local group, queue, cut, limits, at = string.match(text or '', '^ (%S+) (%S+) (%d+)%f[ \n]([^\n]*)\n()', 17)
  local entry, corrupt
  if group then
    entry = {
      us = string.sub(text, 1, 16), group = group, queue = queue, cut = tonumber(cut), limits = limits, text = text,
      at = at,
    }
  elseif text then
    corrupt = text
  end
  return entry, corrupt
end

-- Move an entry to the dead letters. The caller removes its record, or its place. why: see lib/letters.lua.
local function set_aside(id, group, why, text)
  write_letter(id, group, why, text or '')
  if redis.call('HDEL', K.entries, id) == 1 then
    redis.call('HINCRBY', K.stats, 'tasks_removed', 1)
  end
end

-- Set aside the entries of a group whose records can't be read; the group goes on.
local function mend_group(group, g)
  local found = false
  for id in string.gmatch(string.sub(g.text, g.corrupt), '%S+') do
    local entry, corrupt = read_entry(id)
    if (corrupt or entry and entry.group == group) and not record_of(g, id) then
      set_aside(id, group, 'corrupt', entry and entry.text or corrupt)
      found = true
    end
  end
  if not found then
    set_aside('-', group, 'corrupt', g.text)
  end
  g.corrupt = nil
  write_group(group, g)
  redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
end

local function open_group(group)
  local g = read_group(group)
  if g.corrupt then
    mend_group(group, g)
  end
  return g
end

local function open_ordinary(group, state, id, drawn, fence, lost)
  local g = read_ordinary(group, state, id, drawn, fence, lost)
  if g.corrupt then
    mend_group(group, g)
  end
  return g
end

-- Returns the record of an entry under way, and its group's name and state; nothing when it is not under way.
local function find_record(id)
  local entry, found, g = read_entry(id), nil, nil
  if entry then
    g = open_group(entry.group)
    found = record_of(g, id)
  end
  return found, entry and entry.group, g
end
