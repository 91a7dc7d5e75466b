-- Made of lua/redrive.lua by `make scripts`: change that file, not this one.
--
-- redrive: make a dead letter an entry of its group again.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] waiting  (list)   of the group
-- KEYS[13] group    (hash)
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] id        (text)
-- ARGV[7] letter    (bytes)  as it stands among the dead letters
-- ARGV[8] entry     (bytes)  its text, without the time it was parked
-- ARGV[9] head      (0 | 1)  it is the next one; else the last one
-- Returns {1, [queue, message]...} parked; to publish · {0} there is no such letter (any more)
--         · {-1} the id is parked or running already · {-2} the group is draining
-- Complexity O(dead letters)
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
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end
local KEPT = 1000 -- actions that are remembered

local audit, waiting, group_key = KEYS[10], KEYS[12], KEYS[13]
local group, id, letter, entry, head = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]

if redis_call('HEXISTS', K_entries, id) == 1 then
  return { -1 }
end
if redis_call('HEXISTS', group_key, 'draining') == 1 then
  return { -2 }
end
if redis_call('LREM', K_dead, 1, letter) == 0 then
  return { 0 }
end
local out, us = {}, K_us_text
redis_call('HSET', K_entries, id, us .. ' ' .. entry)
if head == '1' then
  redis_call('LPUSH', waiting, us .. ' ' .. id)
else
  redis_call('RPUSH', waiting, us .. ' ' .. id)
end
redis_call('ZINCRBY', K_depth, 1, group)
redis_call('HINCRBY', K_stats, 'tasks_redriven', 1)
do -- advance({}, waiting, group_key, group, out)
  local lists, group = {}, group
  local take_head_7, take_head_8
  do -- take_head(waiting, group_key, group)
    local group = group
    local head, entry, corrupt
    local is_free, draining = redis_call('HLEN', group_key) == 0, false
    if not is_free then
      local read_flags_5, read_flags_6
      do -- read_flags(group_key)
        local is_free, draining = true, false
        for _, field in ipairs(redis_call('HKEYS', group_key)) do
          if field == 'draining' then
            draining = true
          else
            is_free = false
          end
        end
        read_flags_5, read_flags_6 = is_free, draining
      end
      is_free, draining = read_flags_5, read_flags_6
    end
    local item = is_free and steps > 0 and redis_call('LPOP', waiting)
    while item do
      local us, id = string.match(item, '^(%d+) (.*)$')
      local read_entry_2, read_entry_3
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
        read_entry_2, read_entry_3 = entry, corrupt
      end
      entry, corrupt = read_entry_2, read_entry_3
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
    take_head_7, take_head_8 = head, entry
  end
  local id, entry = take_head_7, take_head_8
  if id then
    do -- release(lists, id, '0', group, entry, out)
      local lost, drawn = '0', nil
      local queue = entry.queue
      if not drawn then
        local draw_number_1
        do -- draw_number()
          local drawn = K_us_text
          local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
          if last >= K_us then
            drawn = string.format('%.0f', last + 1)
            redis_call('SET', K_fence, drawn)
          end
          draw_number_1 = drawn
        end
        drawn = draw_number_1
      end
      redis_call('HSET', K_flight, id,
        'released ' .. drawn .. ' - ' .. lost .. ' ' .. K_ms_text .. ' - - - - ' .. group .. ' ' .. queue)
      local compose_4
      do -- compose(id, entry, drawn, lost)
        local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
        local cut = entry.at + entry.cut
        compose_4 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
          .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
      end
      local message = compose_4
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
