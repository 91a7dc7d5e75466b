-- Made of lua/sweep.lua by `make scripts`: change that file, not this one.
--
-- sweep: move due items. Ended holds are released, ended leases are reclaimed, due ETAs and unfinished walks are named
-- to the caller, which knows the keys of their groups.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] pulse    (string)  "<last sweep, ms> <no gap since, ms> <who watches> <until, ms>", see lib/pulse.lua
-- KEYS[11] crowd    (zset)    "<queue> <ms> <member of due>": members of due that wait for room, see lib/crowd.lua
-- KEYS[12] calls    (hash)    "sweep" -> "<call> <name>...": the tickets to publish of this worker's last call
-- KEYS[13-] lists   (list)    the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] ttl       (ms)
-- ARGV[4] limit     (count)   entries moved in one call
-- ARGV[5] claim     (ms)      how long the named ones are left to the caller
-- ARGV[6] owner     (text)    the worker
-- ARGV[7] watch     (ms)      how long it watches after this
-- ARGV[8] woken     (0 | 1)   by the bell
-- ARGV[9] call      (text)    the same one until an answer has come
-- ARGV[10] keep     (ms)      how long the calls of a silent worker are remembered
-- ARGV[11] named    (count)   lists
-- ARGV[12-] queues  (text)    their names
-- Returns {next, reclaimed, named, ...}: ms until the next item is due (-1: none is, or another worker watches) ·
--         number reclaimed · number of named ones, each a due member and its group · queue, message pairs to publish
-- Complexity O(limit · log due)
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
local K_ETAS = 2e14
local K_REST = 3e14
local K_CROWDS = 4e14
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
local REDELIVERED = '"redelivered": true, '
local RANGE = 1e14
-- Returns for each kind the ms until its first member is due; nil: it has none.
local function soonest()
  local left = {}
  for kind = 0, 3 do
    local first = kind * RANGE
    local at = redis_call('ZRANGEBYSCORE', K_due, first, '(' .. first + RANGE, 'WITHSCORES', 'LIMIT', 0, 1)[2]
    left[kind] = at and math.max(math.ceil(at - first - K_ms), 0)
  end
  return left
end
-- Returns due members, up to a number: leases first, and of each kind a fair share.
local function due_now(left, limit)
  local counts, shares, members = {}, {}, {}
  local kinds = {}
  for kind = 0, 3 do
    if left[kind] == 0 then
      kinds[#kinds + 1] = kind
      counts[kind] = redis_call('ZCOUNT', K_due, kind * RANGE, kind * RANGE + K_ms)
    end
  end
  table.sort(kinds, function(a, b) return counts[a] < counts[b] end)
  for at, kind in ipairs(kinds) do -- the unused share of a kind goes to the others
    shares[kind] = math.min(counts[kind], math.floor(limit / (#kinds - at + 1)))
    limit = limit - shares[kind]
  end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do
    local first = kind * RANGE
    for _, each in ipairs(redis_call('ZRANGEBYSCORE', K_due, first, first + K_ms, 'LIMIT', 0, shares[kind])) do
      members[#members + 1] = each
    end
  end
  return members
end
-- Returns the ms until the next member is due; -1: there is none.
local function next_due(left)
  local least = -1
  for kind = 0, 3 do
    least = left[kind] and (least < 0 or left[kind] < least) and left[kind] or least
  end
  return least
end
local ROOM = 200 -- tickets on their way in a queue that is served
local SERVED = 60000 -- ms since a begin, within which a queue counts as served; so does one whose list the caller gives
local SOON, LATER = 20, 250 -- ms until a queue is checked again: after some of its crowd came in, and after none did
local rooms, crowded, turned_away = {}, {}, false
-- Take room for one more ticket, when no other waits for it. Without room the member of due joins the crowd.
local function take_room(crowd, lists, queue, member)
  local room_in_18
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
    room_in_18 = room
  end
  local room = room_in_18
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

local STATE = { l = 'running', h = 'held', r = 'released' } -- state of an entry whose member still counts
local BYTES = 262144 -- of messages that one call moves for each kind; and one message more
local pulse, crowd, calls = KEYS[10], KEYS[11], KEYS[12]
local ttl, limit, claim, owner = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local watch, woken, call, keep, count = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])

local beat_15, beat_16
do -- beat(pulse, ttl, owner, watch, woken)
  local last, since, watcher, till = string.match(redis_call('GET', pulse) or '', '^(%d+) (%d+) (%S+) (%d+)$')
  if not last or math.abs(K_ms - tonumber(last)) > ttl / 2 then
    since = K_ms_text
  end
  local left = (tonumber(till) or 0) - K_ms
  if woken == '1' or watcher == owner or left <= 0 or left > watch then
    watcher, till = owner, digits(K_ms + watch)
  end
  redis_call('SET', pulse, table.concat({ K_ms_text, since, watcher, till }, ' '))
  beat_15, beat_16 = tonumber(since), watcher == owner
end
local since, watches = beat_15, beat_16
local lists, out, named, reclaimed, moved, at = named_lists(13, 12, count), {}, {}, 0, {}, 0
local names_again_14
do -- names_again(calls, 'sweep', call, lists, out)
  local kind, call = 'sweep', call
  local before, names = string.match(redis_call('HGET', calls, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    do -- ask_again(lists, name, out)
      local id = name
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
      local read_entry_11
      do -- read_entry(id)
        local text = redis_call('HGET', K_entries, id)
        local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
        local entry, corrupt
        if us then
          entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
        elseif text then
          corrupt = text
        end
        read_entry_11 = entry
      end
      local entry = read_entry_11
      if r and entry and r.state == 'released' and not lists[r.queue] then
        local compose_13
        do -- compose(id, entry, r.release, r.lost)
          local drawn, lost = r.release, r.lost
          local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
          local cut = entry.at + entry.cut
          compose_13 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
            .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
        end
        local message = compose_13
        out[#out + 1] = r.queue
        out[#out + 1] = message
      end
    end
  end
  names_again_14 = names
end
local asked = names_again_14
local left = soonest()
local members = due_now(left, limit)
local due = #members
while at < #members do -- grows when a crowd comes in
  at = at + 1
  local member = members[at]
  local kind, name = string.sub(member, 1, 1), string.sub(member, 3)
  local r, before = STATE[kind] and read_or_set_aside(name), #out
  if string.find('eaxd', kind, 1, true) then
    local group, id = string.match(name, '^(%S+) ?(.*)$')
    if kind == 'e' and redis_call('HEXISTS', K_entries, id) == 0 then
      redis_call('ZREM', K_due, member) -- revoked
    else
      redis_call('ZADD', K_due, (kind == 'e' and K_ETAS or K_REST) + K_ms + claim, member)
      named[#named + 1] = member
      named[#named + 1] = group
    end
  elseif kind == 'q' then
    do -- bring_in(crowd, lists, name, limit + due - #members, members)
      local queue, most = name, limit + due - #members
      local room_in_19
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
        room_in_19 = room
      end
      local room = room_in_19
      local wanted = math.max(math.min(room, most), 0)
      local rows = redis_call('ZRANGEBYLEX', crowd, '[' .. queue .. ' ', '(' .. queue .. ' \127', 'LIMIT', 0, wanted + 1)
      for at = 1, math.min(wanted, #rows) do
        local ms, member = string.match(rows[at], ' (%d+) (.*)$')
        redis_call('ZREM', crowd, rows[at])
        if tonumber(redis_call('ZSCORE', K_due, member) or 0) == K_CROWDS + ms then
          redis_call('ZADD', K_due, (string.sub(member, 1, 1) == 'h' and K_HOLDS or K_REST) + K_ms, member)
          members[#members + 1] = member
        end
      end
      rooms[queue] = room - math.min(wanted, #rows)
      if #rows <= wanted then
        redis_call('ZREM', K_due, 'q ' .. queue)
      else
        local pause = wanted < room and 0 or wanted > 0 and SOON or LATER
        redis_call('ZADD', K_due, K_REST + K_ms + pause, 'q ' .. queue)
      end
    end
  elseif kind == 'c' then
    redis_call('ZREM', K_due, member)
    do -- set_record_aside(name)
      local id = name
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
      local read_flight_3, read_flight_4
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
        read_flight_3, read_flight_4 = r, corrupt
      end
      local _, corrupt = read_flight_3, read_flight_4
      if corrupt then
        do -- set_aside(id, entry and entry.group or '-', 'corrupt', entry and entry.text or corrupt)
          local group, reason, text = entry and entry.group or '-', 'corrupt', entry and entry.text or corrupt
          redis_call('LPUSH', K_dead, cjson.encode({ group, id, reason, K_ms_text }) .. '\n' .. (text or ''))
          redis_call('HDEL', K_entries, id)
          redis_call('HDEL', K_flight, id)
          redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
        end
        if entry then
          do -- count_out(entry.group)
            local group = entry.group
            if tonumber(redis_call('ZINCRBY', K_depth, -1, group)) <= 0 then
              redis_call('ZREM', K_depth, group)
            end
          end
          redis_call('ZADD', K_due, K_REST + K_ms, 'x ' .. entry.group .. ' ' .. id)
        end
      end
      redis_call('ZREM', K_due, 'c ' .. id)
    end
  elseif not r or r.state ~= STATE[kind] then
    redis_call('ZREM', K_due, member)
  elseif kind == 'l' and K_ms - since < ttl then
    redis_call('ZADD', K_due, since + ttl, member)
  elseif (moved[kind] or 0) < BYTES and (kind ~= 'h' or at > due or take_room(crowd, lists, r.queue, member)) then
    moved[kind] = (moved[kind] or 0) + redis_call('HSTRLEN', K_entries, name)
    redis_call('ZREM', K_due, member)
    if kind == 'l' then
      r.lost, reclaimed = digits(r.lost + 1), reclaimed + 1
    else
      redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. name)
      r.due = '-'
    end
    do -- resume(lists, name, r, out, kind == 'l')
      local id, again = name, kind == 'l'
      redis_call('ZREM', K_due, 'l ' .. id)
      if again and r.due == '-' then
        do -- mark_redelivered(id)
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
          local e = read_entry_8
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
        local read_entry_9, read_entry_10
        do -- read_entry(id)
          local text = redis_call('HGET', K_entries, id)
          local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
          local entry, corrupt
          if us then
            entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
          elseif text then
            corrupt = text
          end
          read_entry_9, read_entry_10 = entry, corrupt
        end
        local entry, corrupt = read_entry_9, read_entry_10
        if entry then
          do -- release(lists, id, r.lost, r.group, entry, out)
            local lost, group, drawn = r.lost, r.group, nil
            local queue = entry.queue
            if not drawn then
              local draw_number_6
              do -- draw_number()
                local drawn = K_us_text
                local last = tonumber(redis_call('SET', K_fence, drawn, 'GET') or 0) or 0
                if last >= K_us then
                  drawn = string.format('%.0f', last + 1)
                  redis_call('SET', K_fence, drawn)
                end
                draw_number_6 = drawn
              end
              drawn = draw_number_6
            end
            redis_call('HSET', K_flight, id,
              'released ' .. drawn .. ' - ' .. lost .. ' ' .. K_ms_text .. ' - - - - ' .. group .. ' ' .. queue)
            local compose_12
            do -- compose(id, entry, drawn, lost)
              local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
              local cut = entry.at + entry.cut
              compose_12 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
            end
            local message = compose_12
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
  asked = #out > before and asked .. ' ' .. name or asked
end
if asked ~= '' then
  do -- remember(calls, 'sweep', call, asked, keep)
    local kind, names, ttl = 'sweep', asked, keep
    if redis_call('HSET', calls, kind, call .. names) == 1 then
      redis_call('PEXPIRE', calls, ttl) -- renewals extend it from now on
    end
  end
end
if reclaimed > 0 then
  redis_call('HINCRBY', K_stats, 'tasks_reclaimed', reclaimed)
end
left = watches and due > 0 and soonest() or left
local reply = { watches and next_due(left) or -1, reclaimed, #named / 2, unpack(named) }
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
return reply
