-- Made of lua/lease.lua by `make scripts`: change that file, not this one.
--
-- lease: read the time left of the lease under which a run has its group.
--
-- KEYS[1-9]      the gate's own, see lib/keys.lua
-- ARGV[1-2]      clock, tag
-- ARGV[3] id     (text)
-- ARGV[4] group  (text)
-- ARGV[5] fence  (number)
-- Returns the ms left, 0 when it is over and the head not taken back; -1: lost
-- Complexity O(1)
local redis_call = redis.call
local K_groups = KEYS[2]
local K_due = KEYS[3]
-- The starts of the ranges of due.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
local K_ms_text = string.sub(K_us_text, 1, 13)
local function now_ms()
  return tonumber(K_ms_text)
end
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}
-- Returns the group, with its records; `corrupt` is where its text can't be read. One table for each group.
local function read_group(group)
  local g = groups[group]
  if not g then
    local group_text_1
    do -- group_text(group)
      texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
      group_text_1 = texts[group]
    end
    local text = group_text_1
    local flags, aside, empty, at = string.match(text, '^([%l-]+) (%d+) (%d+)()')
    g = { flags = flags or '-', aside = aside or '0', empty = empty or '0', text = text }
    at = at or 1
    while at <= #text do
      local state, id, drawn, fence, due, stop, lost, since, owner, call, queue, after =
        string.match(text, RECORD, at)
      if after then
        g[#g + 1] = {
          state = state, id = id, release = drawn, fence = fence, due = due, stop = stop, lost = lost,
          since = since, owner = owner, call = call, queue = queue,
        }
      else
        g.corrupt = at
      end
      at = after or #text + 1
    end
    groups[group] = g
  end
  return g
end

local id, group, fence = ARGV[3], ARGV[4], ARGV[5]

local running_3
do -- running(read_group(group), id, fence)
  local g = read_group(group)
  local record_of_2
  do -- record_of(g, id)
    local found
    for at = 1, #g do
      found = g[at].id == id and g[at] or found
    end
    record_of_2 = found
  end
  local r = record_of_2
  running_3 = r and r.state == 'r' and r.fence == fence and r or nil
end
local r = running_3
if not r then
  return -1
end
return math.max(math.floor(tonumber(redis_call('ZSCORE', K_due, 'w ' .. r.owner) or now_ms()) - now_ms()), 0)
