-- Made of lua/sweep.lua by `make scripts`: change that file, not this one.
--
-- sweep: move due items. Ended holds are released, ended leases are reclaimed, due ETAs, ended blocks and limits, and
-- unfinished walks are named to the caller, which knows the keys of their groups. The oldest dead letters are removed,
-- and identities whose time is over.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] pulse    (string)  "<last sweep, ms> <no gap since, ms> <who watches> <until, ms>", see lib/pulse.lua
-- KEYS[11] crowd    (zset)    "<queue> <ms> <member of due>": members of due that wait for room, see lib/crowd.lua
-- KEYS[12] stamp    (string)  of the partition, see stamp.lua
-- KEYS[13] runs     (hash)    of this worker, see lib/run.lua
-- KEYS[14-] lists   (list)    the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] ttl       (ms)
-- ARGV[4] limit     (count)   entries moved in one call
-- ARGV[5] claim     (ms)      how long the named ones are left to the caller
-- ARGV[6] owner     (text)    the worker
-- ARGV[7] watch     (ms)      how long it watches after this
-- ARGV[8] woken     (0 | 1)   by the bell
-- ARGV[9] call      (text)    the same one until an answer has come
-- ARGV[10] keep     (ms)      how long the calls of a silent worker are remembered
-- ARGV[11] most     (count)   dead letters that are kept
-- ARGV[12] age      (us)      until a dead letter is removed
-- ARGV[13] stamped  (text)    the stamp as the worker has read it: written again when all data was lost
-- ARGV[14] named    (count)   lists
-- ARGV[15-] queues  (text)    their names
-- Returns {next, named, ...}: ms until the next item is due (-1: none is, or another worker watches) ·
--         number of named ones, each a due member and its group, or worker · queue, message pairs to publish
-- Complexity O(limit · log due)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_flags = KEYS[4]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
local K_identities = K_begins
local K_fence = KEYS[7]
local K_stats = KEYS[8]
local K_dead = KEYS[9]
local K_tag = ARGV[2]
-- The starts of the ranges of due.
local K_HOLDS = 1e14
local K_ETAS = 2e14
local K_REST = 3e14
local K_CROWDS = 4e14
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
local K_ms_text = string.sub(K_us_text, 1, 13)
local function now_ms()
  return tonumber(K_ms_text)
end
local function digits(value)
  return string.format('%.0f', value)
end
-- Returns the record of an entry under way; nothing when it is not.
local function record_of(g, id)
  local found
  for at = 1, #g do
    found = g[at].id == id and g[at] or found
  end
  return found
end
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}
local FRONT = 8192 -- bytes: the headers of a message are shorter, unless somebody adds long ones
-- Returns the entry; nothing when there is none, and its text when it can't be read. read: the text, if it is read.
local function read_entry(id, read)
  local text = read or redis_call('HGET', K_entries, id)
  local group, queue, cut, limits, at = string.match(text or '', '^ (%S+) (%S+) (%d+)%f[ \n]([^\n]*)\n()', 17)
  local entry, corrupt
  if group then
    entry = {
      us = string.sub(text, 1, 16), group = group, queue = queue, cut = tonumber(cut), limits = limits, text = text,
      at = at,
    }
  elseif text then
    corrupt = text
  end
  return entry, corrupt
end
local function open_group(group)
  local read_group_5
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_4
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_4 = texts[group]
      end
      local text = group_text_4
      local flags, aside, empty, at = string.match(text, '^([%l-]+) (%d+) (%d+)()')
      g = { flags = flags or '-', aside = aside or '0', empty = empty or '0', text = text }
      at = at or 1
      while at <= #text do
        local state, id, drawn, fence, due, stop, lost, since, owner, call, queue, after =
          string.match(text, RECORD, at)
        if after then
          g[#g + 1] = {
            state = state, id = id, release = drawn, fence = fence, due = due, stop = stop, lost = lost,
            since = since, owner = owner, call = call, queue = queue,
          }
        else
          g.corrupt = at
        end
        at = after or #text + 1
      end
      groups[group] = g
    end
    read_group_5 = g
  end
  local g = read_group_5
  if g.corrupt then
    do -- mend_group(group, g)
      local found = false
      for id in string.gmatch(string.sub(g.text, g.corrupt), '%S+') do
        local entry, corrupt = read_entry(id)
        if (corrupt or entry and entry.group == group) and not record_of(g, id) then
          do -- set_aside(id, group, 'corrupt', entry and entry.text or corrupt)
            local why, text = 'corrupt', entry and entry.text or corrupt
            do -- write_letter(id, group, why, text or '')
              local name, text = id, text or ''
              local newest, others = redis_call('HGET', K_dead, 'newest') or '0', redis_call('HGET', K_dead, 'i ' .. name)
              local number = digits(math.max(newest + 1, tonumber(K_us_text)))
              redis_call('HSET', K_dead, 'n ' .. number, '0 0 ' .. group .. ' ' .. name, 'g ' .. number, '0 0',
                'l ' .. number, why .. '\n' .. string.sub(text, 1, FRONT), 'i ' .. name, (others and others .. ' ' or '') .. number)
              if #text > FRONT then
                redis_call('HSET', K_dead, 'm ' .. number, string.sub(text, FRONT + 1))
              end
              do -- append('n ', '', number)
                local kind, of = 'n ', ''
                local newest = redis_call('HGET', K_dead, 'newest' .. of) or '0'
                do -- link(kind, of, newest, number)
                  local older, newer = newest, number
                  local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                  local before, after = 'oldest' .. of, 'newest' .. of
                  local following, preceding = newer, older
                  if rows[1] then
                    before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                  end
                  if rows[2] then
                    after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                  end
                  redis_call('HSET', K_dead, before, following, after, preceding)
                end
                do -- link(kind, of, number, '0')
                  local older, newer = number, '0'
                  local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                  local before, after = 'oldest' .. of, 'newest' .. of
                  local following, preceding = newer, older
                  if rows[1] then
                    before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                  end
                  if rows[2] then
                    after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                  end
                  redis_call('HSET', K_dead, before, following, after, preceding)
                end
                redis_call('HINCRBY', K_dead, 'count' .. of, 1)
              end
              do -- append('g ', ' ' .. group, number)
                local kind, of = 'g ', ' ' .. group
                local newest = redis_call('HGET', K_dead, 'newest' .. of) or '0'
                do -- link(kind, of, newest, number)
                  local older, newer = newest, number
                  local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                  local before, after = 'oldest' .. of, 'newest' .. of
                  local following, preceding = newer, older
                  if rows[1] then
                    before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                  end
                  if rows[2] then
                    after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                  end
                  redis_call('HSET', K_dead, before, following, after, preceding)
                end
                do -- link(kind, of, number, '0')
                  local older, newer = number, '0'
                  local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                  local before, after = 'oldest' .. of, 'newest' .. of
                  local following, preceding = newer, older
                  if rows[1] then
                    before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                  end
                  if rows[2] then
                    after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                  end
                  redis_call('HSET', K_dead, before, following, after, preceding)
                end
                redis_call('HINCRBY', K_dead, 'count' .. of, 1)
              end
              redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
            end
            if redis_call('HDEL', K_entries, id) == 1 then
              redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
            end
          end
          found = true
        end
      end
      if not found then
        do -- set_aside('-', group, 'corrupt', g.text)
          local id, why, text = '-', 'corrupt', g.text
          do -- write_letter(id, group, why, text or '')
            local name, text = id, text or ''
            local newest, others = redis_call('HGET', K_dead, 'newest') or '0', redis_call('HGET', K_dead, 'i ' .. name)
            local number = digits(math.max(newest + 1, tonumber(K_us_text)))
            redis_call('HSET', K_dead, 'n ' .. number, '0 0 ' .. group .. ' ' .. name, 'g ' .. number, '0 0',
              'l ' .. number, why .. '\n' .. string.sub(text, 1, FRONT), 'i ' .. name, (others and others .. ' ' or '') .. number)
            if #text > FRONT then
              redis_call('HSET', K_dead, 'm ' .. number, string.sub(text, FRONT + 1))
            end
            do -- append('n ', '', number)
              local kind, of = 'n ', ''
              local newest = redis_call('HGET', K_dead, 'newest' .. of) or '0'
              do -- link(kind, of, newest, number)
                local older, newer = newest, number
                local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                local before, after = 'oldest' .. of, 'newest' .. of
                local following, preceding = newer, older
                if rows[1] then
                  before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                end
                if rows[2] then
                  after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                end
                redis_call('HSET', K_dead, before, following, after, preceding)
              end
              do -- link(kind, of, number, '0')
                local older, newer = number, '0'
                local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                local before, after = 'oldest' .. of, 'newest' .. of
                local following, preceding = newer, older
                if rows[1] then
                  before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                end
                if rows[2] then
                  after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                end
                redis_call('HSET', K_dead, before, following, after, preceding)
              end
              redis_call('HINCRBY', K_dead, 'count' .. of, 1)
            end
            do -- append('g ', ' ' .. group, number)
              local kind, of = 'g ', ' ' .. group
              local newest = redis_call('HGET', K_dead, 'newest' .. of) or '0'
              do -- link(kind, of, newest, number)
                local older, newer = newest, number
                local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                local before, after = 'oldest' .. of, 'newest' .. of
                local following, preceding = newer, older
                if rows[1] then
                  before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                end
                if rows[2] then
                  after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                end
                redis_call('HSET', K_dead, before, following, after, preceding)
              end
              do -- link(kind, of, number, '0')
                local older, newer = number, '0'
                local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                local before, after = 'oldest' .. of, 'newest' .. of
                local following, preceding = newer, older
                if rows[1] then
                  before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                end
                if rows[2] then
                  after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                end
                redis_call('HSET', K_dead, before, following, after, preceding)
              end
              redis_call('HINCRBY', K_dead, 'count' .. of, 1)
            end
            redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
          end
          if redis_call('HDEL', K_entries, id) == 1 then
            redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
          end
        end
      end
      g.corrupt = nil
      do -- write_group(group, g)
        local other, other_g = nil, nil
        local state_text_6
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_6 = text
        end
        local text = state_text_6
        if other then
          local state_text_7
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_7 = text
          end
          local other_text = state_text_7
          redis_call('HSET', K_groups, group, text, other, other_text)
        else
          redis_call('HSET', K_groups, group, text)
        end
      end
      redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
    end
  end
  return g
end
local EXPIRED = 50 -- letters that one call removes for their number and age
local EXPIRED_BYTES = 4000000 -- of them; and one letter more
local soon = false -- a sweep has something to do now
local FAR = 3600000 -- ms: no time says when a task has its other places
local OUT, ROW = '\127o ', '\127w '
local LOOK = 10000 -- ms until a sweep looks at a tenant's row that nothing has moved; all rows at the same time
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
local RANGE = 1e14
-- Returns for each kind the ms until its first member is due; nil: it has none.
local function soonest()
  local left = {}
  for kind = 0, 3 do
    local first = kind * RANGE
    local at = redis_call('ZRANGEBYSCORE', K_due, first, '(' .. first + RANGE, 'WITHSCORES', 'LIMIT', 0, 1)[2]
    left[kind] = at and math.max(math.ceil(at - first - now_ms()), 0)
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
      counts[kind] = redis_call('ZCOUNT', K_due, kind * RANGE, kind * RANGE + now_ms())
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
    for _, each in ipairs(redis_call('ZRANGEBYSCORE', K_due, first, first + now_ms(), 'LIMIT', 0, shares[kind])) do
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
-- Returns the score of a member of due that waits for room since a time: held heads can be counted in it.
local function crowd_score(member, ms)
  return K_CROWDS + (string.sub(member, 1, 1) == 'h' and 0 or 1e14) + ms
end
-- Take room for one more ticket, when no other waits for it. Without room the member of due joins the crowd.
local function take_room(crowd, lists, queue, member)
  local room_in_32
  do -- room_in(lists, queue)
    local room = rooms[queue]
    if not room then
      local at = string.match(redis_call('HGET', K_begins, queue) or '', '^%d+ (%d+)')
      local served = lists[queue] or at and now_ms() - at < SERVED
      local ahead = served and redis_call('ZLEXCOUNT', K_on_the_way, '[' .. queue .. ' ', '(' .. queue .. ' \127')
      room = ahead and ROOM - ahead or math.huge
    end
    rooms[queue] = room
    room_in_32 = room
  end
  local room = room_in_32
  if room > 0 and crowded[queue] == nil then
    crowded[queue] = redis_call('ZSCORE', K_due, 'q ' .. queue) and true or false
  end
  local found = room > 0 and not crowded[queue]
  local score = not found and tonumber(redis_call('ZSCORE', K_due, member) or 0)
  if found then
    rooms[queue] = room - 1
  elseif score < K_CROWDS then
    turned_away = true
    redis_call('ZADD', K_due, crowd_score(member, now_ms()), member)
    redis_call('ZADD', crowd, 0, queue .. ' ' .. K_ms_text .. ' ' .. member)
    redis_call('ZADD', K_due, 'NX', K_REST + now_ms() + SOON, 'q ' .. queue)
  end
  return found
end
local MOST = 20 -- members that one call looks at
local AT_ONCE = 20 -- tickets that one call looks at

local STATE = { h = 'h', r = 'w' } -- state of an entry whose member still counts
local BYTES = 262144 -- of messages that one call moves for each kind; and one message more
local pulse, crowd, stamp, runs = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local ttl, limit, claim, owner = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local watch, woken, call, keep, count = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[14])

local left = soonest()
local beat_29, beat_30
do -- beat(pulse, ttl, owner, watch, woken, stamp, ARGV[13])
  local stamped = ARGV[13]
  local last, since, watcher, till = string.match(redis_call('GET', pulse) or '', '^(%d+) (%d+) (%S+) (%d+)$')
  if not last or math.abs(now_ms() - tonumber(last)) > ttl / 2 then
    since = K_ms_text
  end
  if not last and stamped ~= '' then
    redis_call('SET', stamp, stamped, 'NX')
  end
  local left = (tonumber(till) or 0) - now_ms()
  if woken == '1' or watcher == owner or left <= 0 or left > watch then
    watcher, till = owner, digits(now_ms() + watch)
  end
  redis_call('SET', pulse, table.concat({ K_ms_text, since, watcher, till }, ' '))
  beat_29, beat_30 = tonumber(since), watcher == owner
end
local since, watches = beat_29, beat_30
local lists, out, named, moved, at = named_lists(14, 15, count), {}, {}, {}, 0
local names_again_28
do -- names_again(runs, 'sweep', call, lists, out)
  local kind = 'sweep'
  local before, names = string.match(redis_call('HGET', runs, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    local find_record_11
    do -- find_record(name)
      local id = name
      local entry, found, g = read_entry(id), nil, nil
      if entry then
        g = open_group(entry.group)
        found = record_of(g, id)
      end
      find_record_11 = found
    end
    local r = find_record_11
    if r then
      do -- ask_again(lists, r, out)
        local entry = read_entry(r.id)
        if entry and r.state == 'w' and not lists[r.queue] then
          local compose_26
          do -- compose(r.id, entry, r.release, r.lost)
            local id, drawn, lost = r.id, r.release, r.lost
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
            local cut = entry.at + entry.cut
            compose_26 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_26
          out[#out + 1] = r.queue
          out[#out + 1] = message
        end
      end
    end
  end
  names_again_28 = names
end
local asked = names_again_28
local members = due_now(left, limit)
local due = #members
while at < #members do -- grows when a crowd comes in
  at = at + 1
  local member = members[at]
  local kind, group, id = string.match(member, '^(%l) (%S+) ?(.*)$')
  local g = STATE[kind] and open_group(group)
  local r, before, went = g and record_of(g, id), #out, nil
  if kind == 'w' and now_ms() - since < ttl then
    redis_call('ZADD', K_due, since + ttl, member)
  elseif kind == 'e' and redis_call('HEXISTS', K_entries, id) == 0 then
    redis_call('ZREM', K_due, member) -- revoked
  elseif kind == 'm' or kind == 't' then -- a group that has begun again has its own end
    redis_call('ZREM', K_due, member)
    if kind == 'm' or not has_flag(open_group(group), 's') then
      redis_call('HDEL', K_begins, (kind == 'm' and 'm ' or 's ') .. group)
    end
  elseif string.find('wveadbl', kind or '-', 1, true) then
    if kind == 'w' then -- its lease is over: its heads are taken back, unless it renews before
      redis_call('ZREM', K_due, member)
      member = 'v ' .. group
    end
    redis_call('ZADD', K_due, (kind == 'e' and K_ETAS or K_REST) + now_ms() + claim, member)
    named[#named + 1] = member
    named[#named + 1] = group
  elseif kind == 'i' then
    do -- forget_identity(member)
      local field = member
      local till = string.match(redis_call('HGET', K_identities, field) or '', '^(%d+) ')
      if till and tonumber(till) > now_ms() then -- that of a later entry
        redis_call('ZADD', K_due, K_REST + till, field)
      else
        redis_call('ZREM', K_due, field)
        if till then
          redis_call('HDEL', K_identities, field)
        end
      end
    end
  elseif kind == 'f' then
    local look_at_turns_35
    do -- look_at_turns(lists, string.sub(member, 3), out)
      local of = string.sub(member, 3)
      local from, to = '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127'
      for _, member in ipairs(redis_call('ZRANGEBYLEX', K_on_the_way, from, to, 'LIMIT', 0, AT_ONCE)) do
        local drawn, group, id = string.match(member, ' (%d+) (%S+) (%S+)$')
        local r = record_of(open_group(group), id)
        if not r or r.state ~= 'w' or r.release ~= drawn then
          redis_call('ZREM', K_on_the_way, member)
        end
      end
      local next_turns_34
      do -- next_turns(lists, of, out, true)
        local of, again = of, true
        local from, to = '[' .. ROW .. of .. ' ', '(' .. ROW .. of .. ' \127'
        local names, more = '', true
        for _ = 1, MOST do
          local member = more and redis_call('ZRANGEBYLEX', K_on_the_way, from, to, 'LIMIT', 0, 1)[1]
          if not member then
            break
          end
          local drawn, group, id = string.match(member, ' (%d+) (%S+) (%S+)$')
          local g = open_group(group)
          local r, entry = record_of(g, id), read_entry(id)
          local weight = entry and string.match(entry.limits, '^ f(%d+)/')
          local count = redis_call('ZLEXCOUNT', K_on_the_way, '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127')
          if not r or r.stop ~= 't' or r.release ~= drawn then -- it has left
            redis_call('ZREM', K_on_the_way, member)
          elseif not weight then -- unreadable: the sweep sets it aside
            redis_call('ZREM', K_on_the_way, member)
            r.stop = '-'
            do -- write_group(group, g)
              local other, other_g = nil, nil
              local state_text_6
              do -- state_text(g)
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_6 = text
              end
              local text = state_text_6
              if other then
                local state_text_7
                do -- state_text(other_g)
                  local g = other_g
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_7 = text
                end
                local other_text = state_text_7
                redis_call('HSET', K_groups, group, text, other, other_text)
              else
                redis_call('HSET', K_groups, group, text)
              end
            end
            redis_call('ZADD', K_due, K_HOLDS + now_ms(), 'h ' .. group .. ' ' .. id)
          elseif count < tonumber(weight) then
            r.state, r.stop = 'w', '-' -- its turn has come
            do -- release(lists, group, g, r, entry, out)
              local held
              if entry.limits ~= '' or g.flags ~= '-' then
                local hold_back_23
                do -- hold_back(group, g, r, entry)
                  local limits_of_17
                  do -- limits_of(group, g, entry)
                    local own = string.match(entry.limits, ' (l%d+/%d+/%d+)') or ''
                    local set = has_flag(g, 'l') and redis_call('HGET', K_flags, 'l ' .. group) or ''
                    local limits = {}
                    for _, text in ipairs({ own, set }) do
                      local starts, window, together = string.match(text, '^l(%d+)/(%d+)/(%d+)')
                      if starts and starts ~= '0' then
                        limits.starts, limits.window = tonumber(starts), tonumber(window)
                      end
                      if together and together ~= '0' then
                        limits.together = tonumber(together)
                      end
                    end
                    limits_of_17 = limits
                  end
                  local limits = limits_of_17
                  local free_at, awaits
                  if #g == 1 and (limits.together or 1) > 1 ~= has_flag(g, 'n') then
                    if has_flag(g, 'n') then
                      do -- drop_mark(g, 'n')
                        local letter = 'n'
                        g.flags = string.gsub(g.flags, letter, '', 1)
                        g.flags = g.flags == '' and '-' or g.flags
                      end
                    else
                      do -- add_mark(g, 'n')
                        local letter = 'n'
                        g.flags = (g.flags == '-' and '' or g.flags) .. letter
                      end
                    end
                  end
                  if limits.starts then
                    local counted_begins_14, counted_begins_15, counted_begins_16
                    do -- counted_begins(group)
                      local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                      local begins = {}
                      for ms in string.gmatch(times or '', '%d+') do
                        begins[#begins + 1] = tonumber(ms)
                      end
                      counted_begins_14, counted_begins_15, counted_begins_16 = begins, tonumber(starts or 0), tonumber(window or 0)
                    end
                    local begins, starts, window = counted_begins_14, counted_begins_15, counted_begins_16
                    if not has_flag(g, 's') then
                      do -- add_mark(g, 's')
                        local letter = 's'
                        g.flags = (g.flags == '-' and '' or g.flags) .. letter
                      end
                    end
                    if limits.starts > starts or limits.window > window then
                      do -- keep_begins(group, begins, math.max(limits.starts, starts), math.max(limits.window, window))
                        local starts, window = math.max(limits.starts, starts), math.max(limits.window, window)
                        table.sort(begins)
                        local text = digits(starts) .. ' ' .. digits(window)
                        for at = math.max(#begins - starts + 1, 1), #begins do
                          if begins[at] >= now_ms() - window and begins[at] <= now_ms() then
                            text = text .. ' ' .. digits(begins[at])
                          end
                        end
                        redis_call('HSET', K_begins, 's ' .. group, text)
                      end
                    end
                    local within = {}
                    for _, other in ipairs(g) do -- one that is released may begin at any time
                      if other.id ~= r.id and other.state ~= 'h' and other.stop ~= 'f' then
                        begins[#begins + 1] = other.state == 'r' and tonumber(other.since) or now_ms()
                      end
                    end
                    for _, ms in ipairs(begins) do -- one to come was before the clock was set back
                      if ms >= now_ms() - limits.window and ms <= now_ms() then
                        within[#within + 1] = ms
                      end
                    end
                    table.sort(within)
                    local oldest = within[#within - limits.starts + 1]
                    free_at = oldest and oldest + limits.window + 1 -- it began within that millisecond
                  end
                  local due = tonumber(string.match(entry.limits, ' l%d+/%d+/%d+/(%d+)') or 0)
                  if due > now_ms() and not string.find(r.id, ';k', 1, true) then -- of a stand-in its task waits
                    free_at = math.max(free_at or 0, due)
                  end
                  if free_at then
                    r.state, r.due, r.stop, r.since, r.queue = 'h', digits(free_at), 'l', K_ms_text, entry.queue
                    r.owner, r.call, r.release = '-', '-', r.release == '' and '0' or r.release
                    redis_call('ZADD', K_due, K_HOLDS + free_at, 'h ' .. group .. ' ' .. r.id)
                  elseif has_flag(g, 'k') then
                    local await_places_22
                    do -- await_places(r, entry)
                      local stands_for_18, stands_for_19
                      do -- stands_for(r.id)
                        local id = r.id
                        local of, name
                        if string.find(id, ';k', 1, true) then
                          of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                        end
                        stands_for_18, stands_for_19 = of, name
                      end
                      local of, name = stands_for_18, stands_for_19
                      local free_at
                      if of then
                        free_at = now_ms() + FAR
                        local other = record_of(open_group(of), name)
                        if other and other.state == 'h' and other.stop == 's' then
                          do -- look_soon(K_HOLDS, 'h ' .. of .. ' ' .. name)
                            local score, member = K_HOLDS, 'h ' .. of .. ' ' .. name
                            redis_call('ZADD', K_due, score + now_ms(), member)
                            soon = true
                          end
                        end
                      else
                        local number = 0
                        for each in string.gmatch(redis_call('HGET', K_begins, 'k ' .. r.id) or '', '%S+') do
                          number = number + 1
                          local place = r.id .. ';k' .. number
                          local there = record_of(open_group(each), place)
                          if there and there.stop ~= 's' or not there and redis_call('HEXISTS', K_entries, place) == 1 then
                            free_at = now_ms() + FAR
                          end
                        end
                      end
                      if free_at then
                        r.state, r.due, r.stop, r.since, r.queue = 'h', '-', 's', K_ms_text, entry.queue
                        r.owner, r.call, r.release = '-', '-', r.release == '' and '0' or r.release
                      end
                      await_places_22 = free_at
                    end
                    awaits = await_places_22
                  end
                  hold_back_23 = free_at or awaits
                end
                held = hold_back_23
                if not held then
                  local take_turn_24
                  do -- take_turn(group, g, r, entry)
                    local weight, fair = string.match(entry.limits, '^ f(%d+)/(%S+)')
                    local waits = false
                    if fair then
                      if not has_flag(g, 'f') then
                        do -- add_mark(g, 'f')
                          local letter = 'f'
                          g.flags = (g.flags == '-' and '' or g.flags) .. letter
                        end
                      end
                      local keeps = r.state == 'w' or r.state == 'r' and r.due == '-'
                      if r.release ~= '' then
                        local mine = r.queue .. ' ' .. fair .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
                        redis_call('ZREM', K_on_the_way, OUT .. mine, ROW .. mine)
                      end
                      local of = entry.queue .. ' ' .. fair
                      local before = keeps and 0
                        or redis_call('ZLEXCOUNT', K_on_the_way, '[' .. ROW .. of .. ' ', '(' .. ROW .. of .. ' \127')
                      local out = keeps and 0
                        or redis_call('ZLEXCOUNT', K_on_the_way, '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127')
                      waits = not keeps and (before > 0 or out >= tonumber(weight))
                      if waits then
                        local draw_number_2
                        do -- draw_number()
                          local drawn = K_us_text
                          local last = redis_call('SET', K_fence, drawn, 'GET')
                          if last and last >= drawn then -- both have 16 digits
                            drawn = string.format('%.0f', last + 1)
                            redis_call('SET', K_fence, drawn)
                          end
                          draw_number_2 = drawn
                        end
                        local number = draw_number_2
                        r.state, r.stop, r.due, r.since, r.queue = 'h', 't', '-', K_ms_text, entry.queue
                        r.owner, r.call, r.fence, r.release = '-', '-', '-', number
                        redis_call('ZADD', K_on_the_way, 0, ROW .. of .. ' ' .. number .. ' ' .. group .. ' ' .. r.id)
                        if before == 0 then
                          do -- look_later(of)
                            redis_call('ZADD', K_due, K_REST + (math.floor(now_ms() / LOOK) + 1) * LOOK, 'f ' .. of)
                          end
                        end
                      end
                    end
                    take_turn_24 = waits
                  end
                  held = take_turn_24
                end
              end
              if held then
                do -- write_group(group, g)
                  local other, other_g = nil, nil
                  local state_text_6
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_6 = text
                  end
                  local text = state_text_6
                  if other then
                    local state_text_7
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_7 = text
                    end
                    local other_text = state_text_7
                    redis_call('HSET', K_groups, group, text, other, other_text)
                  else
                    redis_call('HSET', K_groups, group, text)
                  end
                end
              else
                do -- send_out(lists, group, g, r, entry, out)
                  local drawn, other, other_g = nil, nil, nil
                  local queue = entry.queue
                  if not drawn then
                    local draw_number_3
                    do -- draw_number()
                      local drawn = K_us_text
                      local last = redis_call('SET', K_fence, drawn, 'GET')
                      if last and last >= drawn then -- both have 16 digits
                        drawn = string.format('%.0f', last + 1)
                        redis_call('SET', K_fence, drawn)
                      end
                      draw_number_3 = drawn
                    end
                    drawn = draw_number_3
                  end
                  r.state, r.release, r.fence, r.since, r.queue = 'w', drawn, '-', K_ms_text, queue
                  r.owner, r.call, r.due, r.stop = '-', '-', '-', '-'
                  do -- write_group(group, g, other, other_g)
                    local state_text_6
                    do -- state_text(g)
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_6 = text
                    end
                    local text = state_text_6
                    if other then
                      local state_text_7
                      do -- state_text(other_g)
                        local g = other_g
                        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                        for at = 1, #g do
                          local r = g[at]
                          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                        end
                        state_text_7 = text
                      end
                      local other_text = state_text_7
                      redis_call('HSET', K_groups, group, text, other, other_text)
                    else
                      redis_call('HSET', K_groups, group, text)
                    end
                  end
                  local compose_25
                  do -- compose(r.id, entry, drawn, r.lost)
                    local id, lost = r.id, r.lost
                    local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                    local cut = entry.at + entry.cut
                    compose_25 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                      .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                  end
                  local message = compose_25
                  redis_call('ZADD', K_on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. group)
                  if g.flags ~= '-' then
                    do -- count_turn(group, r, entry)
                      local fair = string.match(entry.limits, '^ f%d+/(%S+)')
                      if fair then
                        local mine = r.queue .. ' ' .. fair .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
                        redis_call('ZADD', K_on_the_way, 0, OUT .. mine)
                      end
                    end
                  end
                  local pushed = lists[queue] and (r.lost == '0' and redis.pcall('LPUSH', lists[queue], message)
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
            names, more = names .. ' ' .. id, r.state == 'h' or count + 1 < tonumber(weight)
            if r.state == 'h' then -- its rate holds it back now
              redis_call('ZREM', K_on_the_way, member)
            end
          else
            more = false
          end
        end
        if redis_call('ZLEXCOUNT', K_on_the_way, from, to) == 0 then
          redis_call('ZREM', K_due, 'f ' .. of)
        elseif more then
          redis_call('ZADD', K_due, K_REST + now_ms(), 'f ' .. of)
        elseif again then
          do -- look_later(of)
            redis_call('ZADD', K_due, K_REST + (math.floor(now_ms() / LOOK) + 1) * LOOK, 'f ' .. of)
          end
        end
        next_turns_34 = names
      end
      local names = next_turns_34
      look_at_turns_35 = names
    end
    went = look_at_turns_35
  elseif kind == 'q' then
    do -- bring_in(crowd, lists, group, limit + due - #members, members)
      local queue, most = group, limit + due - #members
      local room_in_33
      do -- room_in(lists, queue)
        local room = rooms[queue]
        if not room then
          local at = string.match(redis_call('HGET', K_begins, queue) or '', '^%d+ (%d+)')
          local served = lists[queue] or at and now_ms() - at < SERVED
          local ahead = served and redis_call('ZLEXCOUNT', K_on_the_way, '[' .. queue .. ' ', '(' .. queue .. ' \127')
          room = ahead and ROOM - ahead or math.huge
        end
        rooms[queue] = room
        room_in_33 = room
      end
      local room = room_in_33
      local wanted = math.max(math.min(room, most), 0)
      local rows = redis_call('ZRANGEBYLEX', crowd, '[' .. queue .. ' ', '(' .. queue .. ' \127', 'LIMIT', 0, wanted + 1)
      for at = 1, math.min(wanted, #rows) do
        local ms, member = string.match(rows[at], ' (%d+) (.*)$')
        redis_call('ZREM', crowd, rows[at])
        if tonumber(redis_call('ZSCORE', K_due, member) or 0) == crowd_score(member, ms) then
          redis_call('ZADD', K_due, (string.sub(member, 1, 1) == 'h' and K_HOLDS or K_REST) + now_ms(), member)
          members[#members + 1] = member
        end
      end
      rooms[queue] = room - math.min(wanted, #rows)
      if #rows <= wanted then
        redis_call('ZREM', K_due, 'q ' .. queue)
      else
        local pause = wanted < room and 0 or wanted > 0 and SOON or LATER
        redis_call('ZADD', K_due, K_REST + now_ms() + pause, 'q ' .. queue)
      end
    end
  elseif not r or r.state ~= STATE[kind] then
    redis_call('ZREM', K_due, member)
  elseif (moved[kind] or 0) < BYTES and (kind ~= 'h' or at > due or take_room(crowd, lists, r.queue, member)) then
    moved[kind] = (moved[kind] or 0) + redis_call('HSTRLEN', K_entries, id)
    redis_call('ZREM', K_due, member)
    redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
    r.due = '-'
    do -- resume(lists, group, g, r, out)
      local again = nil
      do -- free_group(group)
        redis_call('HDEL', K_groups, group)
      end
      if again and r.due == '-' then
        do -- mark_redelivered(r.id)
          local id = r.id
          local e = read_entry(id)
          if e and string.sub(e.text, e.at, e.at + #REDELIVERED - 1) ~= REDELIVERED then
            redis_call('HSET', K_entries, id, table.concat({
              e.us, ' ', e.group, ' ', e.queue, ' ', string.format('%.0f', e.cut + #REDELIVERED), e.limits, '\n',
              REDELIVERED, string.sub(e.text, e.at, e.at + e.cut - 1), REDELIVERED, string.sub(e.text, e.at + e.cut),
            }))
          end
        end
      end
      local stopped = r.stop == 'p' or r.stop == 'b'
      local waits = r.due ~= '-' and tonumber(r.due) > now_ms()
      if not stopped and not waits and has_flag(g, 'b') then -- another one of its group has failed
        r.stop, r.due, stopped = 'h', '-', true
      end
      if stopped or waits then
        r.state, r.owner, r.call, r.since = 'h', '-', '-', K_ms_text
        do -- write_group(group, g)
          local other, other_g = nil, nil
          local state_text_6
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_6 = text
          end
          local text = state_text_6
          if other then
            local state_text_7
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_7 = text
            end
            local other_text = state_text_7
            redis_call('HSET', K_groups, group, text, other, other_text)
          else
            redis_call('HSET', K_groups, group, text)
          end
        end
        if not stopped then
          redis_call('ZADD', K_due, K_HOLDS + r.due, 'h ' .. group .. ' ' .. r.id)
        end
      else
        local entry, corrupt = read_entry(r.id)
        local left = false
        if entry and has_flag(g, 'k') then
          local is_left_behind_27
          do -- is_left_behind(r.id)
            local id = r.id
            local stands_for_20, stands_for_21
            do -- stands_for(id)
              local of, name
              if string.find(id, ';k', 1, true) then
                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
              end
              stands_for_20, stands_for_21 = of, name
            end
            local _, name = stands_for_20, stands_for_21
            local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
            is_left_behind_27 = name and not said or said == '!'
          end
          left = is_left_behind_27
        end
        if entry and not left then
          do -- release(lists, group, g, r, entry, out)
            local held
            if entry.limits ~= '' or g.flags ~= '-' then
              local hold_back_23
              do -- hold_back(group, g, r, entry)
                local limits_of_17
                do -- limits_of(group, g, entry)
                  local own = string.match(entry.limits, ' (l%d+/%d+/%d+)') or ''
                  local set = has_flag(g, 'l') and redis_call('HGET', K_flags, 'l ' .. group) or ''
                  local limits = {}
                  for _, text in ipairs({ own, set }) do
                    local starts, window, together = string.match(text, '^l(%d+)/(%d+)/(%d+)')
                    if starts and starts ~= '0' then
                      limits.starts, limits.window = tonumber(starts), tonumber(window)
                    end
                    if together and together ~= '0' then
                      limits.together = tonumber(together)
                    end
                  end
                  limits_of_17 = limits
                end
                local limits = limits_of_17
                local free_at, awaits
                if #g == 1 and (limits.together or 1) > 1 ~= has_flag(g, 'n') then
                  if has_flag(g, 'n') then
                    do -- drop_mark(g, 'n')
                      local letter = 'n'
                      g.flags = string.gsub(g.flags, letter, '', 1)
                      g.flags = g.flags == '' and '-' or g.flags
                    end
                  else
                    do -- add_mark(g, 'n')
                      local letter = 'n'
                      g.flags = (g.flags == '-' and '' or g.flags) .. letter
                    end
                  end
                end
                if limits.starts then
                  local counted_begins_14, counted_begins_15, counted_begins_16
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_14, counted_begins_15, counted_begins_16 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local begins, starts, window = counted_begins_14, counted_begins_15, counted_begins_16
                  if not has_flag(g, 's') then
                    do -- add_mark(g, 's')
                      local letter = 's'
                      g.flags = (g.flags == '-' and '' or g.flags) .. letter
                    end
                  end
                  if limits.starts > starts or limits.window > window then
                    do -- keep_begins(group, begins, math.max(limits.starts, starts), math.max(limits.window, window))
                      local starts, window = math.max(limits.starts, starts), math.max(limits.window, window)
                      table.sort(begins)
                      local text = digits(starts) .. ' ' .. digits(window)
                      for at = math.max(#begins - starts + 1, 1), #begins do
                        if begins[at] >= now_ms() - window and begins[at] <= now_ms() then
                          text = text .. ' ' .. digits(begins[at])
                        end
                      end
                      redis_call('HSET', K_begins, 's ' .. group, text)
                    end
                  end
                  local within = {}
                  for _, other in ipairs(g) do -- one that is released may begin at any time
                    if other.id ~= r.id and other.state ~= 'h' and other.stop ~= 'f' then
                      begins[#begins + 1] = other.state == 'r' and tonumber(other.since) or now_ms()
                    end
                  end
                  for _, ms in ipairs(begins) do -- one to come was before the clock was set back
                    if ms >= now_ms() - limits.window and ms <= now_ms() then
                      within[#within + 1] = ms
                    end
                  end
                  table.sort(within)
                  local oldest = within[#within - limits.starts + 1]
                  free_at = oldest and oldest + limits.window + 1 -- it began within that millisecond
                end
                local due = tonumber(string.match(entry.limits, ' l%d+/%d+/%d+/(%d+)') or 0)
                if due > now_ms() and not string.find(r.id, ';k', 1, true) then -- of a stand-in its task waits
                  free_at = math.max(free_at or 0, due)
                end
                if free_at then
                  r.state, r.due, r.stop, r.since, r.queue = 'h', digits(free_at), 'l', K_ms_text, entry.queue
                  r.owner, r.call, r.release = '-', '-', r.release == '' and '0' or r.release
                  redis_call('ZADD', K_due, K_HOLDS + free_at, 'h ' .. group .. ' ' .. r.id)
                elseif has_flag(g, 'k') then
                  local await_places_22
                  do -- await_places(r, entry)
                    local stands_for_18, stands_for_19
                    do -- stands_for(r.id)
                      local id = r.id
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_18, stands_for_19 = of, name
                    end
                    local of, name = stands_for_18, stands_for_19
                    local free_at
                    if of then
                      free_at = now_ms() + FAR
                      local other = record_of(open_group(of), name)
                      if other and other.state == 'h' and other.stop == 's' then
                        do -- look_soon(K_HOLDS, 'h ' .. of .. ' ' .. name)
                          local score, member = K_HOLDS, 'h ' .. of .. ' ' .. name
                          redis_call('ZADD', K_due, score + now_ms(), member)
                          soon = true
                        end
                      end
                    else
                      local number = 0
                      for each in string.gmatch(redis_call('HGET', K_begins, 'k ' .. r.id) or '', '%S+') do
                        number = number + 1
                        local place = r.id .. ';k' .. number
                        local there = record_of(open_group(each), place)
                        if there and there.stop ~= 's' or not there and redis_call('HEXISTS', K_entries, place) == 1 then
                          free_at = now_ms() + FAR
                        end
                      end
                    end
                    if free_at then
                      r.state, r.due, r.stop, r.since, r.queue = 'h', '-', 's', K_ms_text, entry.queue
                      r.owner, r.call, r.release = '-', '-', r.release == '' and '0' or r.release
                    end
                    await_places_22 = free_at
                  end
                  awaits = await_places_22
                end
                hold_back_23 = free_at or awaits
              end
              held = hold_back_23
              if not held then
                local take_turn_24
                do -- take_turn(group, g, r, entry)
                  local weight, fair = string.match(entry.limits, '^ f(%d+)/(%S+)')
                  local waits = false
                  if fair then
                    if not has_flag(g, 'f') then
                      do -- add_mark(g, 'f')
                        local letter = 'f'
                        g.flags = (g.flags == '-' and '' or g.flags) .. letter
                      end
                    end
                    local keeps = r.state == 'w' or r.state == 'r' and r.due == '-'
                    if r.release ~= '' then
                      local mine = r.queue .. ' ' .. fair .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
                      redis_call('ZREM', K_on_the_way, OUT .. mine, ROW .. mine)
                    end
                    local of = entry.queue .. ' ' .. fair
                    local before = keeps and 0
                      or redis_call('ZLEXCOUNT', K_on_the_way, '[' .. ROW .. of .. ' ', '(' .. ROW .. of .. ' \127')
                    local out = keeps and 0
                      or redis_call('ZLEXCOUNT', K_on_the_way, '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127')
                    waits = not keeps and (before > 0 or out >= tonumber(weight))
                    if waits then
                      local draw_number_2
                      do -- draw_number()
                        local drawn = K_us_text
                        local last = redis_call('SET', K_fence, drawn, 'GET')
                        if last and last >= drawn then -- both have 16 digits
                          drawn = string.format('%.0f', last + 1)
                          redis_call('SET', K_fence, drawn)
                        end
                        draw_number_2 = drawn
                      end
                      local number = draw_number_2
                      r.state, r.stop, r.due, r.since, r.queue = 'h', 't', '-', K_ms_text, entry.queue
                      r.owner, r.call, r.fence, r.release = '-', '-', '-', number
                      redis_call('ZADD', K_on_the_way, 0, ROW .. of .. ' ' .. number .. ' ' .. group .. ' ' .. r.id)
                      if before == 0 then
                        do -- look_later(of)
                          redis_call('ZADD', K_due, K_REST + (math.floor(now_ms() / LOOK) + 1) * LOOK, 'f ' .. of)
                        end
                      end
                    end
                  end
                  take_turn_24 = waits
                end
                held = take_turn_24
              end
            end
            if held then
              do -- write_group(group, g)
                local other, other_g = nil, nil
                local state_text_6
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_6 = text
                end
                local text = state_text_6
                if other then
                  local state_text_7
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_7 = text
                  end
                  local other_text = state_text_7
                  redis_call('HSET', K_groups, group, text, other, other_text)
                else
                  redis_call('HSET', K_groups, group, text)
                end
              end
            else
              do -- send_out(lists, group, g, r, entry, out)
                local drawn, other, other_g = nil, nil, nil
                local queue = entry.queue
                if not drawn then
                  local draw_number_3
                  do -- draw_number()
                    local drawn = K_us_text
                    local last = redis_call('SET', K_fence, drawn, 'GET')
                    if last and last >= drawn then -- both have 16 digits
                      drawn = string.format('%.0f', last + 1)
                      redis_call('SET', K_fence, drawn)
                    end
                    draw_number_3 = drawn
                  end
                  drawn = draw_number_3
                end
                r.state, r.release, r.fence, r.since, r.queue = 'w', drawn, '-', K_ms_text, queue
                r.owner, r.call, r.due, r.stop = '-', '-', '-', '-'
                do -- write_group(group, g, other, other_g)
                  local state_text_6
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_6 = text
                  end
                  local text = state_text_6
                  if other then
                    local state_text_7
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_7 = text
                    end
                    local other_text = state_text_7
                    redis_call('HSET', K_groups, group, text, other, other_text)
                  else
                    redis_call('HSET', K_groups, group, text)
                  end
                end
                local compose_25
                do -- compose(r.id, entry, drawn, r.lost)
                  local id, lost = r.id, r.lost
                  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                  local cut = entry.at + entry.cut
                  compose_25 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                end
                local message = compose_25
                redis_call('ZADD', K_on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. group)
                if g.flags ~= '-' then
                  do -- count_turn(group, r, entry)
                    local fair = string.match(entry.limits, '^ f%d+/(%S+)')
                    if fair then
                      local mine = r.queue .. ' ' .. fair .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
                      redis_call('ZADD', K_on_the_way, 0, OUT .. mine)
                    end
                  end
                end
                local pushed = lists[queue] and (r.lost == '0' and redis.pcall('LPUSH', lists[queue], message)
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
        else
          if left then
            do -- remove_left(r.id)
              local id = r.id
              local known = redis_call('HDEL', K_entries, id)
              if string.find(id, ';k', 1, true) then
                redis_call('HINCRBY', K_stats, 'stand_ins', -known)
              else
                redis_call('HINCRBY', K_stats, 'tasks_removed', known)
                redis_call('HDEL', K_begins, 'k ' .. id)
              end
            end
          else
            do -- leave_places(r.id)
              local name, by, ran = r.id, nil, nil
              local number = 0
              for of in string.gmatch(redis_call('HGET', K_begins, 'k ' .. name) or '', '%S+') do
                number = number + 1
                local id = name .. ';k' .. number
                local g = open_group(of)
                local r = record_of(g, id)
                if r or id == by or not has_flag(g, 'c') then
                  local known = redis_call('HDEL', K_entries, id)
                  redis_call('HINCRBY', K_stats, 'stand_ins', -known)
                  do -- add_to(g, 'empty', not r and id ~= by and known or 0)
                    local what, number = 'empty', not r and id ~= by and known or 0
                    g[what] = string.format('%.0f', math.max(g[what] + number, 0))
                  end
                end
                if r and r.stop == 'l' then
                  redis_call('ZREM', K_due, 'h ' .. of .. ' ' .. id)
                end
                if ran then
                  do -- drop_mark(g, 'o')
                    local letter = 'o'
                    g.flags = string.gsub(g.flags, letter, '', 1)
                    g.flags = g.flags == '' and '-' or g.flags
                  end
                end
                do -- remove_record(g, id)
                  for at = #g, 1, -1 do
                    if g[at].id == id then
                      table.remove(g, at)
                    end
                  end
                end
                do -- write_group(of, g)
                  local group, other, other_g = of, nil, nil
                  local state_text_6
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_6 = text
                  end
                  local text = state_text_6
                  if other then
                    local state_text_7
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_7 = text
                    end
                    local other_text = state_text_7
                    redis_call('HSET', K_groups, group, text, other, other_text)
                  else
                    redis_call('HSET', K_groups, group, text)
                  end
                end
                do -- look_soon(K_REST, 'a ' .. of)
                  local score, member = K_REST, 'a ' .. of
                  redis_call('ZADD', K_due, score + now_ms(), member)
                  soon = true
                end
              end
              redis_call('HDEL', K_begins, 'k ' .. name)
            end
            do -- set_aside(r.id, group, corrupt and 'corrupt' or 'missing', corrupt)
              local id, why, text = r.id, corrupt and 'corrupt' or 'missing', corrupt
              do -- write_letter(id, group, why, text or '')
                local name, text = id, text or ''
                local newest, others = redis_call('HGET', K_dead, 'newest') or '0', redis_call('HGET', K_dead, 'i ' .. name)
                local number = digits(math.max(newest + 1, tonumber(K_us_text)))
                redis_call('HSET', K_dead, 'n ' .. number, '0 0 ' .. group .. ' ' .. name, 'g ' .. number, '0 0',
                  'l ' .. number, why .. '\n' .. string.sub(text, 1, FRONT), 'i ' .. name, (others and others .. ' ' or '') .. number)
                if #text > FRONT then
                  redis_call('HSET', K_dead, 'm ' .. number, string.sub(text, FRONT + 1))
                end
                do -- append('n ', '', number)
                  local kind, of = 'n ', ''
                  local newest = redis_call('HGET', K_dead, 'newest' .. of) or '0'
                  do -- link(kind, of, newest, number)
                    local older, newer = newest, number
                    local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                    local before, after = 'oldest' .. of, 'newest' .. of
                    local following, preceding = newer, older
                    if rows[1] then
                      before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                    end
                    if rows[2] then
                      after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                    end
                    redis_call('HSET', K_dead, before, following, after, preceding)
                  end
                  do -- link(kind, of, number, '0')
                    local older, newer = number, '0'
                    local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                    local before, after = 'oldest' .. of, 'newest' .. of
                    local following, preceding = newer, older
                    if rows[1] then
                      before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                    end
                    if rows[2] then
                      after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                    end
                    redis_call('HSET', K_dead, before, following, after, preceding)
                  end
                  redis_call('HINCRBY', K_dead, 'count' .. of, 1)
                end
                do -- append('g ', ' ' .. group, number)
                  local kind, of = 'g ', ' ' .. group
                  local newest = redis_call('HGET', K_dead, 'newest' .. of) or '0'
                  do -- link(kind, of, newest, number)
                    local older, newer = newest, number
                    local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                    local before, after = 'oldest' .. of, 'newest' .. of
                    local following, preceding = newer, older
                    if rows[1] then
                      before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                    end
                    if rows[2] then
                      after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                    end
                    redis_call('HSET', K_dead, before, following, after, preceding)
                  end
                  do -- link(kind, of, number, '0')
                    local older, newer = number, '0'
                    local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
                    local before, after = 'oldest' .. of, 'newest' .. of
                    local following, preceding = newer, older
                    if rows[1] then
                      before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
                    end
                    if rows[2] then
                      after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
                    end
                    redis_call('HSET', K_dead, before, following, after, preceding)
                  end
                  redis_call('HINCRBY', K_dead, 'count' .. of, 1)
                end
                redis_call('HINCRBY', K_stats, 'tasks_dead_lettered', 1)
              end
              if redis_call('HDEL', K_entries, id) == 1 then
                redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
              end
            end
          end
          do -- remove_record(g, r.id)
            local id = r.id
            for at = #g, 1, -1 do
              if g[at].id == id then
                table.remove(g, at)
              end
            end
          end
          do -- write_group(group, g)
            local other, other_g = nil, nil
            local state_text_6
            do -- state_text(g)
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_6 = text
            end
            local text = state_text_6
            if other then
              local state_text_7
              do -- state_text(other_g)
                local g = other_g
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_7 = text
              end
              local other_text = state_text_7
              redis_call('HSET', K_groups, group, text, other, other_text)
            else
              redis_call('HSET', K_groups, group, text)
            end
          end
          redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
        end
      end
    end
  end
  asked = #out > before and asked .. (went or ' ' .. id) or asked
end
do -- remember(runs, 'sweep', call, asked, keep)
  local kind, names, ttl = 'sweep', asked, keep
  if names ~= '' and redis_call('HSET', runs, kind, call .. names) == 1 and redis_call('HLEN', runs) == 1 then
    redis_call('PEXPIRE', runs, ttl) -- until it is a worker's with runs
  end
end
left = watches and due > 0 and soonest() or left
local expire_letters_13
do -- expire_letters(tonumber(ARGV[11]), tonumber(ARGV[12]))
  local most, age = tonumber(ARGV[11]), tonumber(ARGV[12])
  local gone, bytes = 0, 0
  local kept = redis_call('HMGET', K_dead, 'oldest', 'count')
  while kept[1] and gone < EXPIRED and bytes < EXPIRED_BYTES
    and (tonumber(kept[2]) > most or tonumber(kept[1]) < tonumber(K_us_text) - age) do
    local remove_letter_12
    do -- remove_letter(kept[1])
      local number = kept[1]
      local row = redis_call('HGET', K_dead, 'n ' .. number)
      local older, newer, of, name = string.match(row or '', '^(%d+) (%d+)( %S+) (.*)$')
      local bytes
      if name then
        bytes = redis_call('HSTRLEN', K_dead, 'm ' .. number)
        local before, after = string.match(redis_call('HGET', K_dead, 'g ' .. number) or '0 0', '^(%d+) (%d+)$')
        redis_call('HDEL', K_dead, 'n ' .. number, 'g ' .. number, 'l ' .. number, 'm ' .. number)
        do -- link('n ', '', older, newer)
          local kind, of = 'n ', ''
          local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
          local before, after = 'oldest' .. of, 'newest' .. of
          local following, preceding = newer, older
          if rows[1] then
            before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
          end
          if rows[2] then
            after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
          end
          redis_call('HSET', K_dead, before, following, after, preceding)
        end
        do -- link('g ', of, before, after)
          local kind, older, newer = 'g ', before, after
          local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
          local before, after = 'oldest' .. of, 'newest' .. of
          local following, preceding = newer, older
          if rows[1] then
            before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
          end
          if rows[2] then
            after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
          end
          redis_call('HSET', K_dead, before, following, after, preceding)
        end
        if redis_call('HINCRBY', K_dead, 'count' .. of, -1) <= 0 then
          redis_call('HDEL', K_dead, 'oldest' .. of, 'newest' .. of, 'count' .. of)
        end
        local numbers = ' ' .. (redis_call('HGET', K_dead, 'i ' .. name) or '') .. ' '
        local rest = string.match(string.gsub(numbers, ' ' .. number .. ' ', ' '), '^ (.*) $')
        if rest then
          redis_call('HSET', K_dead, 'i ' .. name, rest)
        else
          redis_call('HDEL', K_dead, 'i ' .. name)
        end
        if redis_call('HINCRBY', K_dead, 'count', -1) <= 0 then
          redis_call('DEL', K_dead)
        end
      end
      remove_letter_12 = bytes
    end
    local size = remove_letter_12
    gone, bytes = gone + 1, bytes + size
    kept = redis_call('HMGET', K_dead, 'oldest', 'count')
  end
  if gone > 0 then
    redis_call('HINCRBY', K_stats, 'dead_letters_expired', gone)
  end
  expire_letters_13 = gone == EXPIRED or bytes >= EXPIRED_BYTES
end
local more = expire_letters_13
local reply = { more and 0 or watches and next_due(left) or -1, #named / 2, unpack(named) }
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
return reply
