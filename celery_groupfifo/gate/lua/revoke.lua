-- Made of lua/revoke.lua by `make scripts`: change that file, not this one.
--
-- revoke: take out an entry that does not run yet; the group goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12] producer (string) "<last number>" of the caller
-- KEYS[13] audit    (list)   the actions of operators, newest first
-- ARGV[1-2]         clock, tag
-- ARGV[3] id        (text)
-- ARGV[4] group     (text)
-- ARGV[5] number    (count) of this caller's calls, from 1
-- ARGV[6] keep      (ms)    how long the caller's number is remembered
-- ARGV[7] note      (text)  for the audit; empty: no operator does it
-- Returns {1, [queue, message]...} taken out, by this call, now or before; to publish · {0} unknown
--         · {2} it runs
-- Complexity O(log groups): its place in the list stays, empty, until the walk comes by
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
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local steps = 100 -- empty places that one call may walk over
local KEPT = 1000 -- actions that are remembered

local waiting, group_key, producer, audit = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, count, keep = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]

if count <= tonumber(redis_call('GET', producer) or 0) then
  local words = {} -- the reply was lost
  do -- heads_again({}, group_key, words)
    local lists, out = {}, words
    for _, field in ipairs(redis_call('HKEYS', group_key)) do
      if string.sub(field, 1, 2) == 'f ' then
        do -- ask_again(lists, string.sub(field, 3), out)
          local id = string.sub(field, 3)
          local read_flight_3
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
            read_flight_3 = r
          end
          local r = read_flight_3
          local read_entry_7
          do -- read_entry(id)
            local text = redis_call('HGET', K_entries, id)
            local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
            local entry, corrupt
            if us then
              entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
            elseif text then
              corrupt = text
            end
            read_entry_7 = entry
          end
          local entry = read_entry_7
          if r and entry and r.state == 'released' and not lists[r.queue] then
            local compose_10
            do -- compose(id, entry, r.release, r.lost)
              local drawn, lost = r.release, r.lost
              local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
              local cut = entry.at + entry.cut
              compose_10 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
            end
            local message = compose_10
            out[#out + 1] = r.queue
            out[#out + 1] = message
          end
        end
      end
    end
  end
  return { 1, unpack(words) }
end
local read_entry_8
do -- read_entry(id)
  local text = redis_call('HGET', K_entries, id)
  local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
  local entry, corrupt
  if us then
    entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
  elseif text then
    corrupt = text
  end
  read_entry_8 = entry
end
local entry = read_entry_8
if not entry or entry.group ~= group then -- an unreadable one is set aside when its turn comes
  return { 0 }
end
local read_or_set_aside_11
do -- read_or_set_aside(id)
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
  read_or_set_aside_11 = r
end
local r = read_or_set_aside_11
if r and r.state == 'running' then
  return { 2 }
elseif r and r.stop == 'b' then -- it has failed: retry, skip or drop decide on it
  return { 0 }
end
local out = {}
redis_call('HDEL', K_entries, id)
redis_call('ZREM', K_due, 'e ' .. group .. ' ' .. id)
redis_call('SET', producer, ARGV[5], 'PX', keep)
do -- count_out(group)
  if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
    redis_call('ZREM', K_depth, group)
  end
end
redis_call('HINCRBY', K_stats, 'tasks_revoked', 1)
if r then
  redis_call('HDEL', K_flight, id)
  redis_call('ZREM', K_due, 'h ' .. id)
  redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. id)
  do -- free_slot(group_key, id)
    redis_call('HDEL', group_key, 'f ' .. id)
  end
end
do -- advance({}, waiting, group_key, group, out)
  local lists, group = {}, group
  local take_head_14, take_head_15
  do -- take_head(waiting, group_key, group)
    local group = group
    local head, entry, corrupt
    local is_free, draining = redis_call('HLEN', group_key) == 0, false
    if not is_free then
      local read_flags_12, read_flags_13
      do -- read_flags(group_key)
        local is_free, draining = true, false
        for _, field in ipairs(redis_call('HKEYS', group_key)) do
          if field == 'draining' then
            draining = true
          else
            is_free = false
          end
        end
        read_flags_12, read_flags_13 = is_free, draining
      end
      is_free, draining = read_flags_12, read_flags_13
    end
    local item = is_free and steps > 0 and redis_call('LPOP', waiting)
    while item do
      local us, id = string.match(item, '^(%d+) (.*)$')
      local read_entry_5, read_entry_6
      do -- read_entry(id or '')
        local id = id or ''
        local text = redis_call('HGET', K_entries, id)
        local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
        local entry, corrupt
        if us then
          entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
        elseif text then
          corrupt = text
        end
        read_entry_5, read_entry_6 = entry, corrupt
      end
      entry, corrupt = read_entry_5, read_entry_6
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
    take_head_14, take_head_15 = head, entry
  end
  local id, entry = take_head_14, take_head_15
  if id then
    do -- release(lists, id, '0', group, entry, out)
      local lost, drawn = '0', nil
      local queue = entry.queue
      if not drawn then
        local draw_number_4
        do -- draw_number()
          local drawn = K_us_text
          local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
          if last >= K_us then
            drawn = string.format('%.0f', last + 1)
            redis_call('SET', K_fence, drawn)
          end
          draw_number_4 = drawn
        end
        drawn = draw_number_4
      end
      redis_call('HSET', K_flight, id,
        'released ' .. drawn .. ' - ' .. lost .. ' ' .. K_ms_text .. ' - - - - ' .. group .. ' ' .. queue)
      local compose_9
      do -- compose(id, entry, drawn, lost)
        local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
        local cut = entry.at + entry.cut
        compose_9 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
          .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
      end
      local message = compose_9
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
do -- note(audit, ARGV[7])
  local text = ARGV[7]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
return { 1, unpack(out) }
