-- Made of lua/purge.lua by `make scripts`: change that file, not this one.
--
-- purge: take out entries of a group that do not run, a number per call, from the head of the line.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] waiting  (list)   of the group
-- KEYS[13] group    (hash)
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] bound     (us)     entries parked later are left; 0: now
-- ARGV[7] limit     (count)
-- ARGV[8] most      (bytes)  of entries in one answer; and one entry more
-- Returns {bound, more, count, [id, entry]..., [queue, message]...}: for the next call, whether one is needed · how
--         many were taken out, and which, '' for the entry of one that had failed · to publish
-- Complexity O(limit · log groups)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_depth = KEYS[4]
local K_on_the_way = KEYS[5]
local K_fence = KEYS[7]
local K_stats = KEYS[8]
local K_dead = KEYS[9]
local K_tag = ARGV[2]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
local K_ms_text = string.sub(K_us_text, 1, -4)
local K_us = tonumber(K_us_text)
local K_ms = tonumber(K_ms_text)
-- The starts of the ranges of due.
local K_REST = 3e14
local function digits(value)
  return string.format('%.0f', value)
end
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
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
local steps = 100 -- empty places that one call may walk over
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end
local KEPT = 1000 -- actions that are remembered
local function in_flight(group_key)
  local ids = {}
  for _, field in ipairs(redis_call('HKEYS', group_key)) do
    if string.sub(field, 1, 2) == 'f ' then
      ids[#ids + 1] = string.sub(field, 3)
    end
  end
  return ids
end
-- Returns the text of an entry that stands at its place in the line, also of an unreadable one; else nothing.
local function text_in_line(us, id)
  local entry, corrupt = read_entry(id)
  return entry and entry.us == us and entry.text or corrupt
end

local audit, waiting, group_key = KEYS[10], KEYS[12], KEYS[13]
local group, bound, limit, most = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

if bound == 0 then
  bound = K_us
end
local gone, more, out, bytes = {}, 0, {}, 0
for step = 1, limit do
  local item = redis_call('LPOP', waiting)
  if not item then
    break
  end
  local us, id = string.match(item, '^(%d+) (.*)$')
  if us and tonumber(us) > bound then
    redis_call('LPUSH', waiting, item)
    break
  end
  if text_in_line(us, id or '') then
    do -- take_out(id)
      local withdraw_14, withdraw_15
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
        withdraw_14, withdraw_15 = text or '', failed
      end
      local text, failed = withdraw_14, withdraw_15
      bytes = bytes + #text
      gone[#gone + 1] = id
      gone[#gone + 1] = failed and '' or text
    end
  end
  if step == limit or bytes >= most then
    more = 1
    break
  end
end
if more == 0 then -- the head comes last: otherwise the next entry would go out
  for _, id in ipairs(in_flight(group_key)) do
    local r, entry = read_or_set_aside(id), read_entry(id)
    if r and r.state ~= 'running' and entry and tonumber(entry.us) <= bound then
      do -- take_out(id)
        local withdraw_14, withdraw_15
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
          withdraw_14, withdraw_15 = text or '', failed
        end
        local text, failed = withdraw_14, withdraw_15
        bytes = bytes + #text
        gone[#gone + 1] = id
        gone[#gone + 1] = failed and '' or text
      end
    end
  end
  do -- advance({}, waiting, group_key, group, out)
    local lists = {}
    local take_head_11, take_head_12
    do -- take_head(waiting, group_key, group)
      local head, entry, corrupt
      local is_free, draining = redis_call('HLEN', group_key) == 0, false
      if not is_free then
        local read_flags_9, read_flags_10
        do -- read_flags(group_key)
          local is_free, draining = true, false
          for _, field in ipairs(redis_call('HKEYS', group_key)) do
            if field == 'draining' then
              draining = true
            else
              is_free = false
            end
          end
          read_flags_9, read_flags_10 = is_free, draining
        end
        is_free, draining = read_flags_9, read_flags_10
      end
      local item = is_free and steps > 0 and redis_call('LPOP', waiting)
      while item do
        local us, id = string.match(item, '^(%d+) (.*)$')
        entry, corrupt = read_entry(id or '')
        if entry and entry.us == us then
          do -- take_slot(group_key, id)
            redis_call('HSET', group_key, 'f ' .. id, 1)
          end
          head = id
          break
        elseif corrupt then
          do -- set_aside(id, group, 'corrupt', corrupt)
            local reason, text = 'corrupt', corrupt
            redis_call('LPUSH', K_dead, cjson.encode({ group, id, reason, K_ms_text }) .. '\n' .. (text or ''))
            redis_call('HDEL', K_entries, id)
            redis_call('HDEL', K_flight, id)
            redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
          end
          do -- count_out(group)
            if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
              redis_call('ZREM', K_depth, group)
            end
          end
        end -- else it was revoked: its place is empty
        steps = steps - 1
        item = steps > 0 and redis_call('LPOP', waiting)
      end
      if is_free and steps == 0 and not head then
        redis_call('ZADD', K_due, K_REST + K_ms, 'a ' .. group) -- more empty places than that: a sweep goes on
      end
      if draining and not item and steps > 0 then
        do -- end_drain(group_key, group)
          if not redis_call('ZSCORE', K_depth, group) then
            redis_call('HDEL', group_key, 'draining')
          end
        end
      end
      take_head_11, take_head_12 = head, entry
    end
    local id, entry = take_head_11, take_head_12
    if id then
      do -- release(lists, id, '0', group, entry, out)
        local lost, drawn = '0', nil
        local queue = entry.queue
        if not drawn then
          local draw_number_3
          do -- draw_number()
            local drawn = K_us_text
            local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
            if last >= K_us then
              drawn = string.format('%.0f', last + 1)
              redis_call('SET', K_fence, drawn)
            end
            draw_number_3 = drawn
          end
          drawn = draw_number_3
        end
        redis_call('HSET', K_flight, id,
          'released ' .. drawn .. ' - ' .. lost .. ' ' .. K_ms_text .. ' - - - - ' .. group .. ' ' .. queue)
        local compose_8
        do -- compose(id, entry, drawn, lost)
          local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
          local cut = entry.at + entry.cut
          compose_8 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
            .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
        end
        local message = compose_8
        redis_call('ZADD', K_on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. id)
        local pushed = lists[queue] and (lost == '0' and redis.pcall('LPUSH', lists[queue], message)
          or redis.pcall('RPUSH', lists[queue], message))
        if type(pushed) == 'table' and not string.find(pushed.err, 'WRONGTYPE', 1, true) then
          error(pushed.err)
        elseif type(pushed) ~= 'number' then -- the caller gave no such list, or the key is no list
          out[#out + 1] = queue
          out[#out + 1] = message
        end
      end
    end
  end
end
do -- note(audit, ARGV[3])
  local text = ARGV[3]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
local reply = { digits(bound), more, #gone / 2, unpack(gone) }
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
local keep_answer_13
do -- keep_answer(reply)
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_13 = reply
end
return keep_answer_13
