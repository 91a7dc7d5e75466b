-- Made of lua/park.lua by `make scripts`: change that file, not this one.
--
-- park: let an entry join the line of its group; the first one is released at once.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] waiting   (list)    "<parked us> <id>" of the group's parked entries, head first
-- KEYS[11] group     (hash)    "f <id>" of each entry in flight; flags
-- KEYS[12] producer  (string)  "<last number>" of this producer
-- KEYS[13] wake      (list)    wakes one sweeping worker
-- KEYS[14] list      (list)    the broker's list of the entry's queue; absent on other brokers
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)
-- ARGV[5]  queue     (text)
-- ARGV[6]  cut       (bytes)   where the message's second ticket goes
-- ARGV[7]  message   (bytes)
-- ARGV[8]  delay     (ms)      joins the line later; 0: now
-- ARGV[9]  number    (count)   of this producer's parks, from 1
-- ARGV[10] keep      (ms)      how long the producer's number is remembered
-- ARGV[11] replaces  (0 | 1)   the id is of a running task: the same group keeps its place, another joins its own line
-- Returns {1, queue, message} parked; to publish when given · {2, [queue, message]...} parked by this call before
--         · {-1} the id is parked or running already · {-2} the group is draining
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
local K_ETAS = 2e14
local K_REST = 3e14
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local steps = 100 -- empty places that one call may walk over
local NAMES = 8 -- names that the entries of one task may have, see keys.py

local waiting, group_key, producer, wake, list = KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local delay, count, keep, replaces = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]

-- Timeline of a lost reply: the script runs, the connection breaks, the task runs and ends, the client
-- repeats the call. The id is gone by then; the producer's number is not.
if count <= tonumber(redis_call('GET', producer) or 0) then
  local words = {}
  do -- heads_again({ [queue] = list }, group_key, words)
    local lists, out = { [queue] = list }, words
    for _, field in ipairs(redis_call('HKEYS', group_key)) do
      if string.sub(field, 1, 2) == 'f ' then
        do -- ask_again(lists, string.sub(field, 3), out)
          local id = string.sub(field, 3)
          local read_flight_1
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
            read_flight_1 = r
          end
          local r = read_flight_1
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
  return { 2, unpack(words) }
end
local us = K_us_text
local text = us .. ' ' .. group .. ' ' .. queue .. ' ' .. cut .. '\n' .. message
local read_flags_13, read_flags_14
do -- read_flags(group_key)
  local is_free, draining = true, false
  for _, field in ipairs(redis_call('HKEYS', group_key)) do
    if field == 'draining' then
      draining = true
    else
      is_free = false
    end
  end
  read_flags_13, read_flags_14 = is_free, draining
end
local is_free, draining = read_flags_13, read_flags_14

-- The place is written first: a foreign key of the line's name stops the script before any other write.
local out, joins = {}, delay <= 0 and not draining
local first = joins and redis_call('RPUSHX', waiting, us .. ' ' .. id) == 0
local known = draining and redis_call('HEXISTS', K_entries, id) == 1
  or not draining and redis_call('HSETNX', K_entries, id, text) == 0

if known then
  if joins and not first then
    redis_call('RPOP', waiting) -- it has its place already
  end
  local name_replacement_19, name_replacement_20
  do -- name_replacement(id, group, replaces)
    local group = group
    local read_or_set_aside_17
    do -- read_or_set_aside(id)
      local read_flight_2, read_flight_3
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
        read_flight_2, read_flight_3 = r, corrupt
      end
      local r, corrupt = read_flight_2, read_flight_3
      if corrupt then
        redis_call('ZADD', K_due, K_REST + K_ms, 'c ' .. id)
      end
      read_or_set_aside_17 = r
    end
    local r = read_or_set_aside_17
    local name, found = replaces == '1' and r and r.state == 'running' and id, nil
    for _ = 1, NAMES do
      if not name or r and r.state == 'running' and r.group == group then
        found = name
        break
      elseif redis_call('HEXISTS', K_entries, name) == 0 then
        found, r = name, nil
        break
      end
      name = name .. ';r'
      local read_or_set_aside_18
      do -- read_or_set_aside(name)
        local id = name
        local read_flight_2, read_flight_3
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
          read_flight_2, read_flight_3 = r, corrupt
        end
        local r, corrupt = read_flight_2, read_flight_3
        if corrupt then
          redis_call('ZADD', K_due, K_REST + K_ms, 'c ' .. id)
        end
        read_or_set_aside_18 = r
      end
      r = read_or_set_aside_18
    end
    name_replacement_19, name_replacement_20 = found, r
  end
  local name, r = name_replacement_19, name_replacement_20
  if not name then
    return { -1 }
  elseif r then
    do -- store_continuation(name, r, queue, cut, message, delay)
      local id = name
      local parked = string.match(redis_call('HGET', K_entries, id) or '', '^%d+') or K_us_text
      redis_call('HSET', K_entries, id, table.concat({ parked, r.group, queue, cut }, ' ') .. '\n' .. message)
      local digits_4
      do -- digits(K_ms + delay)
        local value = K_ms + delay
        digits_4 = string.format('%.0f', value)
      end
      r.due = digits_4
    end
    do -- write_flight(name, r)
      local id = name
      redis_call('HSET', K_flight, id, r.state .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.lost .. ' ' .. r.since
        .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.due .. ' ' .. r.stop .. ' ' .. r.group .. ' ' .. r.queue)
    end
    redis_call('SET', producer, ARGV[9], 'PX', keep)
    return { 1 }
  elseif draining then
    return { -2 }
  end
  id = name
  redis_call('HSET', K_entries, id, text)
elseif draining then
  return { -2 }
end

if joins and (known and not first or first and not is_free) then
  redis_call('RPUSH', waiting, us .. ' ' .. id)
end
redis_call('SET', producer, ARGV[9], 'PX', keep)
redis_call('ZINCRBY', K_depth, 1, group)
redis_call('HINCRBY', K_stats, 'tasks_parked', 1)
if delay > 0 then
  local at = K_ETAS + K_ms + delay
  local sooner = redis_call('ZRANGEBYSCORE', K_due, K_ETAS, at, 'LIMIT', 0, 1)
  redis_call('ZADD', K_due, at, 'e ' .. group .. ' ' .. id)
  if not sooner[1] then
    redis_call('LPUSH', wake, us)
    redis_call('LTRIM', wake, 0, 0)
    redis_call('PEXPIRE', wake, 5000)
  end
elseif is_free and first then -- no entry is before it
  local entry = { us = us, queue = queue, cut = tonumber(cut), text = text, at = #text - #message + 1 }
  do -- take_slot(group_key, id)
    redis_call('HSET', group_key, 'f ' .. id, 1)
  end
  do -- release({ [queue] = list }, id, '0', group, entry, out)
    local lists, lost, drawn = { [queue] = list }, '0', nil
    local queue = entry.queue
    if not drawn then
      local draw_number_5
      do -- draw_number()
        local drawn = K_us_text
        local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
        if last >= K_us then
          drawn = string.format('%.0f', last + 1)
          redis_call('SET', K_fence, drawn)
        end
        draw_number_5 = drawn
      end
      drawn = draw_number_5
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
elseif is_free then
  do -- advance({ [queue] = list }, waiting, group_key, group, out)
    local lists, group = { [queue] = list }, group
    local take_head_15, take_head_16
    do -- take_head(waiting, group_key, group)
      local group = group
      local head, entry, corrupt
      local is_free, draining = redis_call('HLEN', group_key) == 0, false
      if not is_free then
        local read_flags_11, read_flags_12
        do -- read_flags(group_key)
          local is_free, draining = true, false
          for _, field in ipairs(redis_call('HKEYS', group_key)) do
            if field == 'draining' then
              draining = true
            else
              is_free = false
            end
          end
          read_flags_11, read_flags_12 = is_free, draining
        end
        is_free, draining = read_flags_11, read_flags_12
      end
      local item = is_free and steps > 0 and redis_call('LPOP', waiting)
      while item do
        local us, id = string.match(item, '^(%d+) (.*)$')
        local read_entry_6, read_entry_7
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
          read_entry_6, read_entry_7 = entry, corrupt
        end
        entry, corrupt = read_entry_6, read_entry_7
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
      take_head_15, take_head_16 = head, entry
    end
    local id, entry = take_head_15, take_head_16
    if id then
      do -- release(lists, id, '0', group, entry, out)
        local lost, drawn = '0', nil
        local queue = entry.queue
        if not drawn then
          local draw_number_5
          do -- draw_number()
            local drawn = K_us_text
            local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
            if last >= K_us then
              drawn = string.format('%.0f', last + 1)
              redis_call('SET', K_fence, drawn)
            end
            draw_number_5 = drawn
          end
          drawn = draw_number_5
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
end
return { 1, out[1], out[2] }
