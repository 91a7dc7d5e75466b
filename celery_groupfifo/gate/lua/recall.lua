-- Made of lua/recall.lua by `make scripts`: change that file, not this one.
--
-- recall: put an entry that is under way beside others of its group back to the front of its line, unless it runs.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] waiting (list)  of the group
-- KEYS[11] group   (hash)
-- ARGV[1-2]        clock, tag
-- ARGV[3] id       (text)
-- ARGV[4] limit    (count) of entries that may be under way
-- Returns 1 it stands in its line, by this call or before · 0 it runs, or no others are under way
-- Complexity O(in flight)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
local K_ms_text = string.sub(K_us_text, 1, -4)
local K_ms = tonumber(K_ms_text)
-- The starts of the ranges of due.
local K_REST = 3e14
-- Returns the entry; nothing when there is none, and its text when it can't be read.
local function read_entry(id)
  local text = redis_call('HGET', K_entries, id)
  local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
  local entry, corrupt
  if us then
    entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
  elseif text then
    corrupt = text
  end
  return entry, corrupt
end
-- Returns the record; with one that can't be read, let the sweep set the entry aside.
local function read_or_set_aside(id)
  local read_flight_1, read_flight_2
  do -- read_flight(id)
    local text = redis_call('HGET', K_flight, id)
    local state, drawn, fence, lost, since, owner, call, due, stop, group, queue =
      string.match(text or '', '^([^ ]+) (%d+) ([%d-]+) (%d+) (%d+) ([^ ]+) ([^ ]+) ([%d-]+) ([^ ]+) ([^ ]+) ([^ ]+)$')
    local r, corrupt
    if state then
      r = {
        state = state, release = drawn, fence = fence, lost = lost, since = since, owner = owner,
        call = call, due = due, stop = stop, group = group, queue = queue,
      }
    elseif text then
      corrupt = text
    end
    read_flight_1, read_flight_2 = r, corrupt
  end
  local r, corrupt = read_flight_1, read_flight_2
  if corrupt then
    redis_call('ZADD', K_due, K_REST + K_ms, 'c ' .. id)
  end
  return r
end
local function in_flight(group_key)
  local ids = {}
  for _, field in ipairs(redis_call('HKEYS', group_key)) do
    if string.sub(field, 1, 2) == 'f ' then
      ids[#ids + 1] = string.sub(field, 3)
    end
  end
  return ids
end

local waiting, group_key, id, limit = KEYS[10], KEYS[11], ARGV[3], tonumber(ARGV[4])

local r, entry = read_or_set_aside(id), read_entry(id)
if not entry then
  return 0
end
if not r then
  return 1
end
if r.state == 'running' or #in_flight(group_key) <= limit then
  return 0
end
redis_call('HDEL', K_flight, id)
redis_call('ZREM', K_due, 'h ' .. id, 'r ' .. id)
redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
do -- free_slot(group_key, id)
  redis_call('HDEL', group_key, 'f ' .. id)
end
redis_call('LPUSH', waiting, entry.us .. ' ' .. id)
return 1
