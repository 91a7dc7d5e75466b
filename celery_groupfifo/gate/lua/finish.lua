-- Made of lua/finish.lua by `make scripts`: change that file, not this one.
--
-- finish: end a run whose execution is over. In one step, the lease goes back, the group's next head is released,
-- and the worker takes its next task.
--
-- KEYS[1-9]            the gate's own, see lib/keys.lua
-- KEYS[10] waiting     (list)  of the group
-- KEYS[11] group       (hash)
-- KEYS[12] calls       (hash)  caller -> "<call> <id taken | -> [<when its continuation is due, ms>]", of this worker
-- KEYS[13-] lists      (list)  the broker's lists that the worker consumes, in its order
-- ARGV[1-2]            clock, tag
-- ARGV[3]  id          (text)
-- ARGV[4]  group       (text)
-- ARGV[5]  fence       (number)
-- ARGV[6]  owner       (text)
-- ARGV[7]  caller      (text)  makes one call at a time: a thread of the worker
-- ARGV[8]  call        (text)  this call's own name
-- ARGV[9]  ttl         (ms)    lease of the task taken
-- ARGV[10] take        (text)  lists: the next ticket of the lists · own: the group's next head · none
-- ARGV[11] keep        (ms)    how long the calls of a silent worker are remembered
-- ARGV[12] named       (count) lists
-- ARGV[13-] queues     (text)  their names
-- ARGV[..] queue, cut, message, delay  of the run's continuation (retry, replace), when it has one; see park.lua
-- Returns {code, taken, fence, due, [queue, message]...}: code 1 finished · 0 stale, nothing was done; the message
--         taken and its run's fence, or '' and 0; ms until the continuation is due, or -1; to publish
-- Complexity O(log groups)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_depth = KEYS[4]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
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
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local REDELIVERED = '"redelivered": true, '
local steps = 100 -- empty places that one call may walk over
local STALE = 20 -- stale tickets that one call may drop
local OWN = true

local waiting, group_key, calls = KEYS[10], KEYS[11], KEYS[12]
local id, group, fence, owner = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local caller, call, ttl, take = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local keep, named = ARGV[11], tonumber(ARGV[12])

local after = 13 + named -- the continuation
local due_of_run_6
do -- due_of_run(id, fence, group)
  local state, begun, due, of = string.match(redis_call('HGET', K_flight, id) or '',
    '^([^ ]+) [^ ]+ ([^ ]+) %d+ [^ ]+ [^ ]+ [^ ]+ ([^ ]+) [^ ]+ ([^ ]+) [^ ]+$')
  due_of_run_6 = state == 'running' and begun == fence and of == group and due
end
local stored = due_of_run_6
if not stored then
  local before, taken, at = string.match(redis_call('HGET', calls, caller) or '', '^(%S+) (%S+) ?(%d*)$')
  if before ~= call then
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
    end
    return { 0, '', 0, -1 }
  end
  -- A repetition of this call: the same answer, with the message that it took, while its lease lasts.
  local read_flight_4
  do -- read_flight(taken)
    local id = taken
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
    read_flight_4 = r
  end
  local t = read_flight_4
  local read_entry_18
  do -- read_entry(taken)
    local id = taken
    local text = redis_call('HGET', K_entries, id)
    local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
    local entry, corrupt
    if us then
      entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
    elseif text then
      corrupt = text
    end
    read_entry_18 = entry
  end
  local entry = read_entry_18
  local due, message, begun, words = at ~= '' and math.max(tonumber(at) - K_ms, 0) or -1, '', 0, {}
  if t and entry and t.state == 'running' and t.owner == owner and t.call == call then
    local compose_21
    do -- compose(taken, entry, t.release, t.lost)
      local id, drawn, lost = taken, t.release, t.lost
      local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
      local cut = entry.at + entry.cut
      compose_21 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
        .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
    end
    message = compose_21
    begun = t.fence
  end
  local named_lists_23
  do -- named_lists(13, 13, named)
    local key, arg, count = 13, 13, named
    local lists = {}
    for i = 0, count - 1 do
      lists[ARGV[arg + i]] = KEYS[key + i]
    end
    named_lists_23 = lists
  end
  local lists = named_lists_23
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
          local read_entry_17
          do -- read_entry(id)
            local text = redis_call('HGET', K_entries, id)
            local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
            local entry, corrupt
            if us then
              entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
            elseif text then
              corrupt = text
            end
            read_entry_17 = entry
          end
          local entry = read_entry_17
          if r and entry and r.state == 'released' and not lists[r.queue] then
            local compose_20
            do -- compose(id, entry, r.release, r.lost)
              local drawn, lost = r.release, r.lost
              local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
              local cut = entry.at + entry.cut
              compose_20 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
            end
            local message = compose_20
            out[#out + 1] = r.queue
            out[#out + 1] = message
          end
        end
      end
    end
  end
  return { 1, message, begun, due, unpack(words) }
end

local out, due, due_text = {}, -1, ''
local taken, message, begun, head, entry
-- The first write frees memory: a full Redis refuses others, but nothing that follows it.
redis_call('ZREM', K_due, 'l ' .. id)
if stored ~= '-' or ARGV[after] then
  local read_flight_5
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
    read_flight_5 = r
  end
  local r = read_flight_5
  if ARGV[after] then
    do -- store_continuation(id, r, ARGV[after], ARGV[after + 1], ARGV[after + 2], ARGV[after + 3])
      local queue, cut, message, delay = ARGV[after], ARGV[after + 1], ARGV[after + 2], ARGV[after + 3]
      local parked = string.match(redis_call('HGET', K_entries, id) or '', '^%d+') or K_us_text
      redis_call('HSET', K_entries, id, table.concat({ parked, r.group, queue, cut }, ' ') .. '\n' .. message)
      local digits_7
      do -- digits(K_ms + delay)
        local value = K_ms + delay
        digits_7 = string.format('%.0f', value)
      end
      r.due = digits_7
    end
    redis_call('HINCRBY', K_stats, 'tasks_held', 1)
  end
  due = math.max(tonumber(r.due) - K_ms, 0)
  due_text = ' ' .. string.format('%.0f', K_ms + due)
  local named_lists_24
  do -- named_lists(13, 13, named)
    local key, arg, count = 13, 13, named
    local lists = {}
    for i = 0, count - 1 do
      lists[ARGV[arg + i]] = KEYS[key + i]
    end
    named_lists_24 = lists
  end
  local lists = named_lists_24
  do -- resume(lists, id, r, out)
    local again = nil
    redis_call('ZREM', K_due, 'l ' .. id)
    if again and r.due == '-' then
      do -- mark_redelivered(id)
        local read_entry_12
        do -- read_entry(id)
          local text = redis_call('HGET', K_entries, id)
          local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
          local entry, corrupt
          if us then
            entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
          elseif text then
            corrupt = text
          end
          read_entry_12 = entry
        end
        local e = read_entry_12
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
      local read_entry_13, read_entry_14
      do -- read_entry(id)
        local text = redis_call('HGET', K_entries, id)
        local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
        local entry, corrupt
        if us then
          entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
        elseif text then
          corrupt = text
        end
        read_entry_13, read_entry_14 = entry, corrupt
      end
      local entry, corrupt = read_entry_13, read_entry_14
      if entry then
        do -- release(lists, id, r.lost, r.group, entry, out)
          local lost, group, drawn = r.lost, r.group, nil
          local queue = entry.queue
          if not drawn then
            local draw_number_9
            do -- draw_number()
              local drawn = K_us_text
              local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
              if last >= K_us then
                drawn = string.format('%.0f', last + 1)
                redis_call('SET', K_fence, drawn)
              end
              draw_number_9 = drawn
            end
            drawn = draw_number_9
          end
          redis_call('HSET', K_flight, id,
            'released ' .. drawn .. ' - ' .. lost .. ' ' .. K_ms_text .. ' - - - - ' .. group .. ' ' .. queue)
          local compose_19
          do -- compose(id, entry, drawn, lost)
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
            local cut = entry.at + entry.cut
            compose_19 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_19
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
else
  redis_call('HDEL', K_flight, id)
  redis_call('HDEL', K_entries, id)
  do -- free_slot(group_key, id)
    redis_call('HDEL', group_key, 'f ' .. id)
  end
  do -- count_out(group)
    if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
      redis_call('ZREM', K_depth, group)
    end
  end
  local take_head_28, take_head_29
  do -- take_head(waiting, group_key, group)
    local group = group
    local head, entry, corrupt
    local is_free, draining = redis_call('HLEN', group_key) == 0, false
    if not is_free then
      local read_flags_26, read_flags_27
      do -- read_flags(group_key)
        local is_free, draining = true, false
        for _, field in ipairs(redis_call('HKEYS', group_key)) do
          if field == 'draining' then
            draining = true
          else
            is_free = false
          end
        end
        read_flags_26, read_flags_27 = is_free, draining
      end
      is_free, draining = read_flags_26, read_flags_27
    end
    local item = is_free and steps > 0 and redis_call('LPOP', waiting)
    while item do
      local us, id = string.match(item, '^(%d+) (.*)$')
      local read_entry_15, read_entry_16
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
        read_entry_15, read_entry_16 = entry, corrupt
      end
      entry, corrupt = read_entry_15, read_entry_16
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
    take_head_28, take_head_29 = head, entry
  end
  head, entry = take_head_28, take_head_29
end
if take == 'lists' then
  local begin_next_30, begin_next_31, begin_next_32
  do -- begin_next(13, 13, named, owner, call, ttl, head and entry.queue)
    local key, arg, count, owner, call, own = 13, 13, named, owner, call, head and entry.queue
    local taken, message, begun
    local at, dropped = 0, 0
    while at < count do
      local text = redis.pcall('RPOP', KEYS[key + at])
      if type(text) ~= 'string' then -- empty, or no list
        if text == false and ARGV[arg + at] == own then
          taken = OWN
          break
        end
        at = at + 1
      else
        local tag, drawn, id = string.match(text, '^{"properties": {"delivery_tag": "gf (%S+) (%d+) %d+ %d+ ([^"]+)"')
        if tag ~= K_tag or dropped == STALE then
          redis_call('RPUSH', KEYS[key + at], text)
          break
        end
        local noted = string.sub(drawn, -1) == '0' -- one in ten is enough where what is missing can be looked for
        local begin_run_11
        do -- begin_run(id, drawn, owner, call, ttl, noted)
          local drawn = drawn
          local text = redis_call('HGET', K_flight, id)
          local current, lost, rest, queue =
            string.match(text or '', '^released ([^ ]+) [^ ]+ (%d+) [^ ]+ [^ ]+ [^ ]+ ()[^ ]+ [^ ]+ [^ ]+ ([^ ]+)$')
          local fence
          if current == drawn then
            redis_call('ZREM', K_on_the_way, queue .. ' ' .. drawn .. ' ' .. id)
            local begun = noted and lost == '0' and (string.match(redis_call('HGET', K_begins, queue) or '', '^%d+') or '0')
            if begun and tonumber(begun) < tonumber(drawn) then
              redis_call('HSET', K_begins, queue, drawn .. ' ' .. K_ms_text)
            end
            local draw_number_8
            do -- draw_number()
              local drawn = K_us_text
              local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
              if last >= K_us then
                drawn = string.format('%.0f', last + 1)
                redis_call('SET', K_fence, drawn)
              end
              draw_number_8 = drawn
            end
            fence = draw_number_8
            do -- lease(id, drawn, fence, lost, owner, call, ttl, string.sub(text, rest))
              local rest = string.sub(text, rest)
              redis_call('HSET', K_flight, id, 'running ' .. drawn .. ' ' .. fence .. ' ' .. lost .. ' ' .. K_ms_text .. ' '
                .. owner .. ' ' .. call .. ' ' .. rest)
              redis_call('ZADD', K_due, K_ms + ttl, 'l ' .. id)
            end
          end
          begin_run_11 = fence
        end
        begun = begin_run_11
        if begun then
          taken, message = id, text
          break
        end
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
        end
        dropped = dropped + 1
      end
    end
    begin_next_30, begin_next_31, begin_next_32 = taken, message, begun
  end
  taken, message, begun = begin_next_30, begin_next_31, begin_next_32
end
if head and (taken == OWN or take == 'own') then -- it is the next one: begun without going through the broker
  local draw_number_10
  do -- draw_number()
    local drawn = K_us_text
    local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
    if last >= K_us then
      drawn = string.format('%.0f', last + 1)
      redis_call('SET', K_fence, drawn)
    end
    draw_number_10 = drawn
  end
  begun = draw_number_10
  do -- lease(head, begun, begun, '0', owner, call, ttl, '- - ' .. group .. ' ' .. entry.queue)
    local id, drawn, fence, lost, rest = head, begun, begun, '0', '- - ' .. group .. ' ' .. entry.queue
    redis_call('HSET', K_flight, id, 'running ' .. drawn .. ' ' .. fence .. ' ' .. lost .. ' ' .. K_ms_text .. ' '
      .. owner .. ' ' .. call .. ' ' .. rest)
    redis_call('ZADD', K_due, K_ms + ttl, 'l ' .. id)
  end
  local compose_22
  do -- compose(head, entry, begun, '0')
    local id, drawn, lost = head, begun, '0'
    local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
    local cut = entry.at + entry.cut
    compose_22 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
      .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
  end
  message = compose_22
  taken = head
elseif head then
  local named_lists_25
  do -- named_lists(13, 13, named)
    local key, arg, count = 13, 13, named
    local lists = {}
    for i = 0, count - 1 do
      lists[ARGV[arg + i]] = KEYS[key + i]
    end
    named_lists_25 = lists
  end
  local lists = named_lists_25
  do -- release(lists, head, '0', group, entry, out, begun)
    local id, lost, drawn = head, '0', begun
    local queue = entry.queue
    if not drawn then
      local draw_number_9
      do -- draw_number()
        local drawn = K_us_text
        local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
        if last >= K_us then
          drawn = string.format('%.0f', last + 1)
          redis_call('SET', K_fence, drawn)
        end
        draw_number_9 = drawn
      end
      drawn = draw_number_9
    end
    redis_call('HSET', K_flight, id,
      'released ' .. drawn .. ' - ' .. lost .. ' ' .. K_ms_text .. ' - - - - ' .. group .. ' ' .. queue)
    local compose_19
    do -- compose(id, entry, drawn, lost)
      local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
      local cut = entry.at + entry.cut
      compose_19 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
        .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
    end
    local message = compose_19
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
redis_call('HINCRBY', K_stats, 'runs_finished', 1)
if redis_call('HSET', calls, caller, call .. ' ' .. (taken or '-') .. due_text) == 1 then
  redis_call('PEXPIRE', calls, keep) -- a new caller; renewals extend it from now on
end
return { 1, message or '', begun or 0, due, unpack(out) }
