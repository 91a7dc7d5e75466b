-- Made of lua/surrender.lua by `make scripts`: change that file, not this one.
--
-- surrender: take heads back from a worker that surrenders them. They go to the broker again at once.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10-] lists  (list)   the broker's lists that the caller knows
-- ARGV[1-2]        clock, tag
-- ARGV[3] named    (count)  lists
-- ARGV[4-] queues  (text)   their names
-- ARGV[..] id, fence, lost  triples: lost is 1 when a worker was lost with it, else 0
-- Returns {count, [queue, message]...}: surrendered · to publish
-- Complexity O(entries · log groups)
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

local count = tonumber(ARGV[3])
local lists, out, given = named_lists(10, 4, count), {}, 0

for i = 4 + count, #ARGV, 3 do
  local id, fence, lost = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local read_or_set_aside_12
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
    read_or_set_aside_12 = r
  end
  local r = read_or_set_aside_12
  if r and r.state == 'running' and r.fence == fence then
    local digits_4
    do -- digits(tonumber(r.lost) + tonumber(lost))
      local value = tonumber(r.lost) + tonumber(lost)
      digits_4 = string.format('%.0f', value)
    end
    r.lost = digits_4
    do -- resume(lists, id, r, out, true)
      local again = true
      redis_call('ZREM', K_due, 'l ' .. id)
      if again and r.due == '-' then
        do -- mark_redelivered(id)
          local read_entry_6
          do -- read_entry(id)
            local text = redis_call('HGET', K_entries, id)
            local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
            local entry, corrupt
            if us then
              entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
            elseif text then
              corrupt = text
            end
            read_entry_6 = entry
          end
          local e = read_entry_6
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
        local read_entry_7, read_entry_8
        do -- read_entry(id)
          local text = redis_call('HGET', K_entries, id)
          local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
          local entry, corrupt
          if us then
            entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
          elseif text then
            corrupt = text
          end
          read_entry_7, read_entry_8 = entry, corrupt
        end
        local entry, corrupt = read_entry_7, read_entry_8
        if entry then
          do -- release(lists, id, r.lost, r.group, entry, out)
            local lost, group, drawn = r.lost, r.group, nil
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
            local compose_10
            do -- compose(id, entry, drawn, lost)
              local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
              local cut = entry.at + entry.cut
              compose_10 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
            end
            local message = compose_10
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
    given = given + 1
  else -- it may be a repetition of this call
    do -- ask_again(lists, id, out)
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
      local read_entry_9
      do -- read_entry(id)
        local text = redis_call('HGET', K_entries, id)
        local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
        local entry, corrupt
        if us then
          entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
        elseif text then
          corrupt = text
        end
        read_entry_9 = entry
      end
      local entry = read_entry_9
      if r and entry and r.state == 'released' and not lists[r.queue] then
        local compose_11
        do -- compose(id, entry, r.release, r.lost)
          local drawn, lost = r.release, r.lost
          local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
          local cut = entry.at + entry.cut
          compose_11 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
            .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
        end
        local message = compose_11
        out[#out + 1] = r.queue
        out[#out + 1] = message
      end
    end
  end
end
if given > 0 then -- a full Redis refuses it, unless memory was freed before
  redis_call('HINCRBY', K_stats, 'tasks_surrendered', given)
end
return { given, unpack(out) }
