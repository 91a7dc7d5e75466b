-- Made of lua/retry.lua by `make scripts`: change that file, not this one.
--
-- retry: release a waiting or blocked head now.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] audit  (list)  the actions of operators, newest first
-- KEYS[11] answer (string) of this action's last call
-- KEYS[12] group  (hash)
-- ARGV[1-2]       clock, tag
-- ARGV[3] note    (text)  for the audit
-- ARGV[4] call    (number) of this action, from 1
-- Returns {1, [queue, message]...} released; to publish · {-1} no head is held · {-2} the group is paused
-- Complexity O(in flight · log due)
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
local REDELIVERED = '"redelivered": true, '
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

local audit, group_key = KEYS[10], KEYS[12]

local paused = redis_call('HEXISTS', group_key, 'paused') == 1
local out, held, stopped = {}, 0, 0
for _, id in ipairs(in_flight(group_key)) do
  local read_or_set_aside_8
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
    read_or_set_aside_8 = r
  end
  local r = read_or_set_aside_8
  if r and r.state == 'held' and (r.stop == 'p' or paused) then
    stopped = stopped + 1
  elseif r and r.state == 'held' then
    held = held + 1
    redis_call('ZREM', K_due, 'h ' .. id)
    if r.stop == 'b' then -- it may be lost as often as any other
      redis_call('HDEL', group_key, 'blocked')
      r.lost = '0'
    end
    r.due, r.stop = '-', '-'
    do -- resume({}, id, r, out)
      local lists, again = {}, nil
      redis_call('ZREM', K_due, 'l ' .. id)
      if again and r.due == '-' then
        do -- mark_redelivered(id)
          local read_entry_4
          do -- read_entry(id)
            local text = redis_call('HGET', K_entries, id)
            local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
            local entry, corrupt
            if us then
              entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
            elseif text then
              corrupt = text
            end
            read_entry_4 = entry
          end
          local e = read_entry_4
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
        local read_entry_5, read_entry_6
        do -- read_entry(id)
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
        local entry, corrupt = read_entry_5, read_entry_6
        if entry then
          do -- release(lists, id, r.lost, r.group, entry, out)
            local lost, group, drawn = r.lost, r.group, nil
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
            local compose_7
            do -- compose(id, entry, drawn, lost)
              local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
              local cut = entry.at + entry.cut
              compose_7 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
            end
            local message = compose_7
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
  end
end
if held == 0 then
  return { stopped > 0 and -2 or -1 }
end
do -- note(audit, ARGV[3])
  local text = ARGV[3]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
local keep_answer_9
do -- keep_answer({ 1, unpack(out) })
  local reply = { 1, unpack(out) }
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_9 = reply
end
return keep_answer_9
