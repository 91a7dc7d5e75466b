-- Made of lua/rerelease.lua by `make scripts`: change that file, not this one.
--
-- rerelease: release heads again whose ticket was lost on its way.
--
-- A list is served in order. So a ticket is lost when a later one of its list was begun, or when the list is empty;
-- in a list with messages the oldest tickets are searched for. A worker may have popped a ticket and not begun it yet:
-- hence the grace. A false alarm costs one stale ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] calls  (hash)   "rerelease" -> "<call> <name>...": the tickets to publish of this worker's last call
-- KEYS[11] list   (list)   of the queue; absent on other brokers
-- ARGV[1-2]       clock, tag
-- ARGV[3] queue   (text)
-- ARGV[4] grace   (ms)     since the release
-- ARGV[5] begun   (number) the highest release begun from the queue in any partition
-- ARGV[6] oldest  (number) nothing is done when another head is the oldest by now; 0: any
-- ARGV[7] rereleases (count) on other brokers, for a quiet queue: all of its heads count, and the number of their
--                          releases without a begin is stored; -1: only overtaken heads count
-- ARGV[8] limit   (count)
-- ARGV[9] call    (text)   the same one until an answer has come
-- ARGV[10] keep   (ms)     how long the calls of a silent worker are remembered
-- Returns {count, [queue, message]...}: released again · to publish
-- Complexity O(limit · log on_the_way)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_flight = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
local K_fence = KEYS[7]
local K_stats = KEYS[8]
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
local function compose(id, entry, drawn, lost)
  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
  local cut = entry.at + entry.cut
  return TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
end

local SCANNED = 1000 -- messages from the list's end that are searched for one ticket
local calls, list, queue, grace, begun = KEYS[10], KEYS[11], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local oldest, rereleases, limit, call, keep = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]

local begun_release, begun_at = string.match(redis_call('HGET', K_begins, queue) or '', '^(%d+) (%d+)')
begun = math.max(begun, tonumber(begun_release or 0))
local below, length = K_us - grace * 1000, list and redis_call('LLEN', list) -- a release's number is its time
if tonumber(redis_call('GET', K_fence) or 0) > K_us + grace * 1000 then
  below = 9e15 -- the clock was set back: every number is below this
end
below = not list and rereleases < 0 and math.min(below, begun) or below

-- Returns whether a list with messages lacks a ticket; the oldest ones are searched for at the list's end.
local function missing(id, r)
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
  local entry = read_entry_6
  if not list or length == 0 or tonumber(r.release) < begun or not entry then
    return true
  end
  local found = redis_call('LPOS', list, compose(id, entry, r.release, r.lost), 'RANK', -1, 'MAXLEN', SCANNED)
  return not found and length <= SCANNED
end

local lists, out, count = { [queue] = list }, {}, 0
local names_again_11
do -- names_again(calls, 'rerelease', call, lists, out)
  local kind, call = 'rerelease', call
  local before, names = string.match(redis_call('HGET', calls, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    do -- ask_again(lists, name, out)
      local id = name
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
      local entry = read_entry_5
      if r and entry and r.state == 'released' and not lists[r.queue] then
        local message = compose(id, entry, r.release, r.lost)
        out[#out + 1] = r.queue
        out[#out + 1] = message
      end
    end
  end
  names_again_11 = names
end
local asked = names_again_11
local first, past = '[' .. queue .. ' ', '(' .. queue .. ' ' .. string.format('%016.0f', math.max(below, 0))
for at, member in ipairs(redis_call('ZRANGEBYLEX', K_on_the_way, first, past, 'LIMIT', 0, limit)) do
  local drawn, id = string.match(member, ' (%d+) (%S+)$')
  local read_or_set_aside_10
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
    read_or_set_aside_10 = r
  end
  local r = read_or_set_aside_10
  local counts = r and r.state == 'released' and r.release == drawn
  if at == 1 and oldest ~= '0' and oldest ~= drawn or counts and not missing(id, r) then
    break -- another call has released it again; or only younger ones follow
  end
  redis_call('ZREM', K_on_the_way, member)
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
  if counts and entry then
    local before = #out
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
      local message = compose(id, entry, drawn, lost)
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
    count, asked = count + 1, #out > before and asked .. ' ' .. id or asked
  elseif counts then
    redis_call('ZADD', K_due, K_REST + K_ms, 'r ' .. id) -- unreadable: the sweep sets it aside
  end
end
if asked ~= '' then
  do -- remember(calls, 'rerelease', call, asked, keep)
    local kind, names, ttl = 'rerelease', asked, keep
    if redis_call('HSET', calls, kind, call .. names) == 1 then
      redis_call('PEXPIRE', calls, ttl) -- renewals extend it from now on
    end
  end
end
if count > 0 and rereleases > 0 then
  redis_call('HSET', K_begins, queue, (begun_release or '0') .. ' ' .. (begun_at or '0') .. ' ' .. digits(rereleases))
end
if count > 0 then
  redis_call('HINCRBY', K_stats, 'tickets_lost', count)
end
return { count, unpack(out) }
