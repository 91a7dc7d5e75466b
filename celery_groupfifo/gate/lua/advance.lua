-- Made of lua/advance.lua by `make scripts`: change that file, not this one.
--
-- advance: let due ETAs join the lines of their groups, and continue walks over empty places; many in one call.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] crowd    (zset)   members of due that wait for room, see lib/crowd.lua
-- KEYS[11-] places  (list)   waiting, and group (hash), of the group of each member
-- KEYS[..] lists    (list)   the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] many      (count)  members
-- ARGV[4] named     (count)  lists
-- ARGV[5-] queues   (text)   their names
-- ARGV[..] member, group     pairs: members of due and their groups
-- Returns {count, next, [queue, message]...}: of members that are done, from the first on; the caller calls again with
--         the others · ms until the next sweep (-1: as it has said) · to publish
-- Complexity O(members · log groups)
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
local K_REST = 3e14
local K_CROWDS = 4e14
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
-- lists: queue -> key, from `count` keys and as many names.
local function named_lists(key, arg, count)
  local lists = {}
  for i = 0, count - 1 do
    lists[ARGV[arg + i]] = KEYS[key + i]
  end
  return lists
end
local steps = 100 -- empty places that one call may walk over
local ROOM = 200 -- tickets on their way in a queue that is served
local SERVED = 60000 -- ms since a begin, within which a queue counts as served; so does one whose list the caller gives
local SOON, LATER = 20, 250 -- ms until a queue is checked again: after some of its crowd came in, and after none did
local rooms, crowded, turned_away = {}, {}, false
-- Take room for one more ticket, when no other waits for it. Without room the member of due joins the crowd.
local function take_room(crowd, lists, queue, member)
  local room_in_14
  do -- room_in(lists, queue)
    local room = rooms[queue]
    if not room then
      local at = string.match(redis_call('HGET', K_begins, queue) or '', '^%d+ (%d+)')
      local served = lists[queue] or at and K_ms - at < SERVED
      room = math.huge
      if served then
        room = ROOM - redis_call('ZLEXCOUNT', K_on_the_way, '[' .. queue .. ' ', '(' .. queue .. ' \127')
      end
    end
    rooms[queue] = room
    room_in_14 = room
  end
  local room = room_in_14
  if room > 0 and crowded[queue] == nil then
    crowded[queue] = redis_call('ZSCORE', K_due, 'q ' .. queue) and true or false
  end
  local found = room > 0 and not crowded[queue]
  local score = not found and tonumber(redis_call('ZSCORE', K_due, member) or 0)
  if found then
    rooms[queue] = room - 1
  elseif score < K_CROWDS then
    turned_away = true
    redis_call('ZADD', K_due, K_CROWDS + K_ms, member)
    redis_call('ZADD', crowd, 0, queue .. ' ' .. K_ms_text .. ' ' .. member)
    redis_call('ZADD', K_due, 'NX', K_REST + K_ms + SOON, 'q ' .. queue)
  end
  return found
end

local BYTES = 262144 -- of messages that one call moves; and one message more
local WALK = 500 -- empty places that one call walks over
local many, named = tonumber(ARGV[3]), tonumber(ARGV[4])

local lists, out, bytes, done = named_lists(11 + 2 * many, 5, named), {}, 0, 0
steps = WALK
while done < many and steps > 0 and bytes < BYTES do
  local key, arg = 11 + 2 * done, 5 + named + 2 * done
  local waiting, group_key, member, group = KEYS[key], KEYS[key + 1], ARGV[arg], ARGV[arg + 1]
  if redis_call('ZREM', K_due, member) == 0 then -- done by another call, or by a repetition of this one
    do -- heads_again(lists, group_key, out)
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
            local entry = read_entry(id)
            if r and entry and r.state == 'released' and not lists[r.queue] then
              local compose_9
              do -- compose(id, entry, r.release, r.lost)
                local drawn, lost = r.release, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
                local cut = entry.at + entry.cut
                compose_9 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_9
              out[#out + 1] = r.queue
              out[#out + 1] = message
            end
          end
        end
      end
    end
  else
    local kind, id = string.sub(member, 1, 1), string.match(member, '%S+$')
    local entry, corrupt
    if kind == 'e' then
      entry, corrupt = read_entry(id)
    elseif kind == 'x' then
      do -- free_slot(group_key, id)
        redis_call('HDEL', group_key, 'f ' .. id)
      end
    end
    if entry then
      redis_call('RPUSH', waiting, entry.us .. ' ' .. id)
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
    end
    local head = kind == 'e' and redis_call('HLEN', group_key) == 0 and redis_call('LINDEX', waiting, 0)
    local first = head and read_entry(string.match(head, '^%d+ (.*)$') or '')
    bytes = bytes + (first and #first.text or 0)
    if not first or take_room(KEYS[10], lists, first.queue, 'a ' .. group) then
      do -- advance(lists, waiting, group_key, group, out)
        local take_head_12, take_head_13
        do -- take_head(waiting, group_key, group)
          local head, entry, corrupt
          local is_free, draining = redis_call('HLEN', group_key) == 0, false
          if not is_free then
            local read_flags_10, read_flags_11
            do -- read_flags(group_key)
              local is_free, draining = true, false
              for _, field in ipairs(redis_call('HKEYS', group_key)) do
                if field == 'draining' then
                  draining = true
                else
                  is_free = false
                end
              end
              read_flags_10, read_flags_11 = is_free, draining
            end
            is_free, draining = read_flags_10, read_flags_11
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
          take_head_12, take_head_13 = head, entry
        end
        local id, entry = take_head_12, take_head_13
        if id then
          do -- release(lists, id, '0', group, entry, out)
            local lost, drawn = '0', nil
            local queue = entry.queue
            if not drawn then
              local draw_number_2
              do -- draw_number()
                local drawn = K_us_text
                local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
                if last >= K_us then
                  drawn = string.format('%.0f', last + 1)
                  redis_call('SET', K_fence, drawn)
                end
                draw_number_2 = drawn
              end
              drawn = draw_number_2
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
  end
  done = done + 1
end
local next_sweep_15
do -- next_sweep()
  local pause = turned_away and SOON or -1
  next_sweep_15 = pause
end
local pause = next_sweep_15
return { done, steps > 0 and pause or 0, unpack(out) }
