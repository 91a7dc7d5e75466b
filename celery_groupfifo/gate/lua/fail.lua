-- Made of lua/fail.lua by `make scripts`: change that file, not this one.
--
-- fail: end a run that has failed for good, by its group's policy (not continue). As finish, without a hand-off.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] waiting  (list)  of the group
-- KEYS[11] group    (hash)
-- KEYS[12] calls    (hash)  caller -> "<call> - [<when its continuation is due, ms>]", of this worker
-- KEYS[13] cancelled (list)  of this run: the entries to cancel
-- KEYS[14-] lists   (list)  the broker's lists that the worker consumes
-- ARGV[1-2]         clock, tag
-- ARGV[3]  id       (text)
-- ARGV[4]  group    (text)
-- ARGV[5]  fence    (number)
-- ARGV[6]  caller   (text)  see finish.lua
-- ARGV[7]  call     (text)  this call's own name
-- ARGV[8]  keep     (ms)    how long the calls of a silent worker are remembered
-- ARGV[9]  policy   (text)  block · dead_letter · cancel_rest
-- ARGV[10] error    (text)  the exception, as text
-- ARGV[11] flag     (text)  for a blocked group: JSON, open for the time
-- ARGV[12] named    (count) lists
-- ARGV[13-] queues  (text)  their names
-- Returns {code, '', 0, due, [queue, message]...} as finish does; code 2: the group is blocked
-- Complexity O(log groups)
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
local K_HOLDS = 1e14
local K_REST = 3e14
local function digits(value)
  return string.format('%.0f', value)
end
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
-- lists: queue -> key, from `count` keys and as many names.
local function named_lists(key, arg, count)
  local lists = {}
  for i = 0, count - 1 do
    lists[ARGV[arg + i]] = KEYS[key + i]
  end
  return lists
end
local REDELIVERED = '"redelivered": true, '
local steps = 100 -- empty places that one call may walk over
-- Close the JSON of a flag with the time.
local function stamped(flag)
  return flag .. '"at_ms": ' .. K_ms_text .. '}'
end

local waiting, group_key, calls, cancelled = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, fence, caller, call = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local keep, policy, raised, flag, named = ARGV[8], ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])

local read_or_set_aside_13
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
  read_or_set_aside_13 = r
end
local r = read_or_set_aside_13
if not r or r.fence ~= fence or r.state ~= 'running' or r.group ~= group then
  local before, at = string.match(redis_call('HGET', calls, caller) or '', '^(%S+) %S+ ?(%d*)$')
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due = at ~= '' and math.max(tonumber(at) - K_ms, 0) or -1
  local lists, words = named_lists(14, 13, named), {}
  do -- heads_again(lists, group_key, words)
    local out = words
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
          local read_entry_10
          do -- read_entry(id)
            local text = redis_call('HGET', K_entries, id)
            local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
            local entry, corrupt
            if us then
              entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
            elseif text then
              corrupt = text
            end
            read_entry_10 = entry
          end
          local entry = read_entry_10
          if r and entry and r.state == 'released' and not lists[r.queue] then
            local compose_12
            do -- compose(id, entry, r.release, r.lost)
              local drawn, lost = r.release, r.lost
              local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
              local cut = entry.at + entry.cut
              compose_12 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
            end
            local message = compose_12
            out[#out + 1] = r.queue
            out[#out + 1] = message
          end
        end
      end
    end
  end
  return { r and r.fence == fence and r.stop == 'b' and 2 or 1, '', 0, due, unpack(words) } -- a repetition of this call
end

local lists, out, code, due = named_lists(14, 13, named), {}, 1, -1
redis_call('ZREM', K_due, 'l ' .. id) -- first, as it frees memory: see finish.lua
if r.due ~= '-' then -- its continuation is stored: that is the end of a run, not of the task
  due = math.max(tonumber(r.due) - K_ms, 0)
  do -- resume(lists, id, r, out)
    local again = nil
    redis_call('ZREM', K_due, 'l ' .. id)
    if again and r.due == '-' then
      do -- mark_redelivered(id)
        local read_entry_5
        do -- read_entry(id)
          local text = redis_call('HGET', K_entries, id)
          local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
          local entry, corrupt
          if us then
            entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
          elseif text then
            corrupt = text
          end
          read_entry_5 = entry
        end
        local e = read_entry_5
        if e and string.sub(e.text, e.at, e.at + #REDELIVERED - 1) ~= REDELIVERED then
          redis_call('HSET', K_entries, id, table.concat({
            e.us, ' ', e.group, ' ', e.queue, ' ', string.format('%.0f', e.cut + #REDELIVERED), '\n',
            REDELIVERED, string.sub(e.text, e.at, e.at + e.cut - 1), REDELIVERED, string.sub(e.text, e.at + e.cut),
          }))
        end
      end
    end
    if r.stop ~= '-' or (r.due ~= '-' and tonumber(r.due) > K_ms) then
      r.state, r.owner, r.call, r.since = 'held', '-', '-', K_ms_text
      do -- write_flight(id, r)
        redis_call('HSET', K_flight, id, r.state .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.lost .. ' ' .. r.since
          .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.due .. ' ' .. r.stop .. ' ' .. r.group .. ' ' .. r.queue)
      end
      if r.stop == '-' then
        redis_call('ZADD', K_due, K_HOLDS + r.due, 'h ' .. id)
      end
    else
      local read_entry_6, read_entry_7
      do -- read_entry(id)
        local text = redis_call('HGET', K_entries, id)
        local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
        local entry, corrupt
        if us then
          entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
        elseif text then
          corrupt = text
        end
        read_entry_6, read_entry_7 = entry, corrupt
      end
      local entry, corrupt = read_entry_6, read_entry_7
      if entry then
        do -- release(lists, id, r.lost, r.group, entry, out)
          local lost, group, drawn = r.lost, r.group, nil
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
          local compose_11
          do -- compose(id, entry, drawn, lost)
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
            local cut = entry.at + entry.cut
            compose_11 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_11
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
      else
        do -- set_aside(id, r.group, corrupt and 'corrupt' or 'missing', corrupt)
          local group, reason, text = r.group, corrupt and 'corrupt' or 'missing', corrupt
          redis_call('LPUSH', K_dead, cjson.encode({ group, id, reason, K_ms_text }) .. '\n' .. (text or ''))
          redis_call('HDEL', K_entries, id)
          redis_call('HDEL', K_flight, id)
          redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
        end
        do -- count_out(r.group)
          local group = r.group
          if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
            redis_call('ZREM', K_depth, group)
          end
        end
        redis_call('ZADD', K_due, K_REST + K_ms, 'x ' .. r.group .. ' ' .. id)
      end
    end
  end
elseif policy == 'block' then
  code = 2
  do -- block(id, r, group_key, flag)
    r.state, r.owner, r.call, r.stop, r.since = 'held', '-', '-', 'b', K_ms_text
    do -- write_flight(id, r)
      redis_call('HSET', K_flight, id, r.state .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.lost .. ' ' .. r.since
        .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.due .. ' ' .. r.stop .. ' ' .. r.group .. ' ' .. r.queue)
    end
    redis_call('HSET', group_key, 'blocked', stamped(flag))
    redis_call('HINCRBY', K_stats, 'tasks_blocked', 1)
  end
else
  if policy == 'dead_letter' then
    do -- set_aside(id, group, raised, redis_call('HGET', K_entries, id))
      local reason, text = raised, redis_call('HGET', K_entries, id)
      redis_call('LPUSH', K_dead, cjson.encode({ group, id, reason, K_ms_text }) .. '\n' .. (text or ''))
      redis_call('HDEL', K_entries, id)
      redis_call('HDEL', K_flight, id)
      redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
    end
  else
    redis_call('HDEL', K_flight, id)
    redis_call('HDEL', K_entries, id)
  end
  do -- free_slot(group_key, id)
    redis_call('HDEL', group_key, 'f ' .. id)
  end
  do -- count_out(group)
    if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
      redis_call('ZREM', K_depth, group)
    end
  end
  if policy == 'cancel_rest' and redis_call('LLEN', waiting) > 0 then
    redis_call('RENAME', waiting, cancelled)
    redis_call('ZADD', K_due, K_REST + K_ms, 'd ' .. group .. ' ' .. fence)
  end
  do -- advance(lists, waiting, group_key, group, out)
    local group = group
    local take_head_16, take_head_17
    do -- take_head(waiting, group_key, group)
      local group = group
      local head, entry, corrupt
      local is_free, draining = redis_call('HLEN', group_key) == 0, false
      if not is_free then
        local read_flags_14, read_flags_15
        do -- read_flags(group_key)
          local is_free, draining = true, false
          for _, field in ipairs(redis_call('HKEYS', group_key)) do
            if field == 'draining' then
              draining = true
            else
              is_free = false
            end
          end
          read_flags_14, read_flags_15 = is_free, draining
        end
        is_free, draining = read_flags_14, read_flags_15
      end
      local item = is_free and steps > 0 and redis_call('LPOP', waiting)
      while item do
        local us, id = string.match(item, '^(%d+) (.*)$')
        local read_entry_8, read_entry_9
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
          read_entry_8, read_entry_9 = entry, corrupt
        end
        entry, corrupt = read_entry_8, read_entry_9
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
      take_head_16, take_head_17 = head, entry
    end
    local id, entry = take_head_16, take_head_17
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
        local compose_11
        do -- compose(id, entry, drawn, lost)
          local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
          local cut = entry.at + entry.cut
          compose_11 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
            .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
        end
        local message = compose_11
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
redis_call('HINCRBY', K_stats, 'runs_finished', 1)
redis_call('HSET', calls, caller, call .. ' -' .. (due >= 0 and ' ' .. digits(K_ms + due) or ''))
redis_call('PEXPIRE', calls, keep)
return { code, '', 0, due, unpack(out) }
