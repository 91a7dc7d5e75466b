-- Made of lua/cancel.lua by `make scripts`: change that file, not this one.
--
-- cancel: end entries that a failed run has cut off their line, a number per call; see fail.lua.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] cancelled (list)   places, head first
-- KEYS[11] answer (string) of this action's last call
-- KEYS[12] group  (hash)
-- ARGV[1-2]       clock, tag
-- ARGV[3] member  (text)   of due
-- ARGV[4] call    (number) of this action, from 1
-- ARGV[5] group   (text)
-- ARGV[6] limit   (count)
-- ARGV[7] most    (bytes)  of entries in one answer; and one entry more
-- Returns {[id, entry]...} taken out
-- Complexity O(limit · log groups)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_depth = KEYS[4]
local K_on_the_way = KEYS[5]
local K_stats = KEYS[8]
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
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
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
-- Returns the text of an entry that stands at its place in the line, also of an unreadable one; else nothing.
local function text_in_line(us, id)
  local read_entry_3, read_entry_4
  do -- read_entry(id)
    local text = redis_call('HGET', K_entries, id)
    local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
    local entry, corrupt
    if us then
      entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
    elseif text then
      corrupt = text
    end
    read_entry_3, read_entry_4 = entry, corrupt
  end
  local entry, corrupt = read_entry_3, read_entry_4
  return entry and entry.us == us and entry.text or corrupt
end

local cancelled, group_key = KEYS[10], KEYS[12]
local member, group, limit, most = ARGV[3], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

local gone, bytes = {}, 0
for _ = 1, limit do
  local item = bytes < most and redis_call('LPOP', cancelled)
  if not item then
    break
  end
  local us, id = string.match(item, '^(%d+) (.*)$')
  if text_in_line(us, id or '') then -- else it was revoked
    local withdraw_6
    do -- withdraw(id, group_key, group)
      local r, text = read_or_set_aside(id), redis_call('HGET', K_entries, id)
      local failed = r and r.stop == 'b'
      redis_call('HDEL', K_entries, id)
      redis_call('ZREM', K_due, 'e ' .. group .. ' ' .. id, 'h ' .. id, 'r ' .. id)
      if r then
        redis_call('HDEL', K_flight, id)
        redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
      end
      do -- free_slot(group_key, id)
        redis_call('HDEL', group_key, 'f ' .. id)
      end
      do -- count_out(group)
        if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
          redis_call('ZREM', K_depth, group)
        end
      end
      if failed then
        redis_call('HDEL', group_key, 'blocked')
      else
        redis_call('HINCRBY', K_stats, 'tasks_revoked', 1)
      end
      withdraw_6 = text or ''
    end
    local text = withdraw_6
    gone[#gone + 1] = id
    gone[#gone + 1] = text
    bytes = bytes + #text
  end
end
if redis_call('EXISTS', cancelled) == 1 then
  redis_call('ZADD', K_due, K_REST + K_ms, member)
else
  redis_call('ZREM', K_due, member)
  do -- end_drain(group_key, group)
    if not redis_call('ZSCORE', K_depth, group) then
      redis_call('HDEL', group_key, 'draining')
    end
  end
end
local keep_answer_5
do -- keep_answer(gone)
  local reply = gone
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_5 = reply
end
return keep_answer_5
