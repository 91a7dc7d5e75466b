-- Made of lua/park.lua by `make scripts`: change that file, not this one.
--
-- park: let an entry join the line of its group; the first one is released at once.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] line      (list)    "<parked us> <id>" of the group's parked entries, head first
-- KEYS[11] producer  (string)  "<last number>" of this producer, then id and text of the entry that it dropped
-- KEYS[12] wake      (list)    wakes one sweeping worker
-- KEYS[13] list      (list)    the broker's list of the entry's queue; absent on other brokers
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)
-- ARGV[5]  entry     (bytes)   "<group> <queue> <cut>\n<message>"; cut: where the message's second ticket goes
-- ARGV[6]  number    (text)    of this producer's parks, from 1; of many in one round trip see lib/number.lua
-- ARGV[7]  delay     (ms)      joins the line later; absent or 0: now
-- ARGV[8]  replaces  (0 | 1)   the id is of a running task: the same group keeps its place, another joins its own line;
--                              absent with `delay`
-- ARGV[9]  most      (count)   parked entries that the group may have; absent or '': any number
-- ARGV[10] drops     (0 | 1)   the oldest one makes room; absent with `most`
-- ARGV[11] limits    (text)    of the entry, see lib/limits.lua; absent or '': none
-- ARGV[12] identity  (text)    of the call, see lib/identity.lua; absent or '': its id
-- ARGV[13] after     (ms)      how long the identity counts after the end; absent with `identity`
-- ARGV[14] latest    (0 | 1)   it is parked also while others with the identity are under way; absent with `identity`
-- ARGV[15] value     (text)    with a delay: that is its window, see lib/window.lua; absent: it has none
-- Returns 1 parked · {1, queue, message} the same; to publish when given
--         · {2, [queue, message]...} parked by this call before
--         · {3, id, entry, [queue, message]...} parked, now or before, and the entry that made room
--         · {-1, entry, where} there is a duplicate: the id's own when it is not named; where it is, see lib/claim.lua
--         · {-2} the group is draining · {-3} it is full
-- Complexity O(1); O(log due) with a delay
local redis_call = redis.call
-- The usual park: at once, to a group that is under way, by a call without options. It makes no function and no table,
-- which is a third of a script's time. Any other park, a repeated one too, finds everything as it was.
do
  if not ARGV[7] then
    local keep = '600000' -- see lib/number.lua; Redis would print a number, for 2,000 instructions
    local entries, line, producer, id, number = KEYS[1], KEYS[10], KEYS[11], ARGV[3], ARGV[6]
    local state = redis_call('HGET', KEYS[2], ARGV[4])
    if state and string.find(state, '^[^din\n]+\n') then -- see is_busy
      local us = ARGV[1]
      if us == '' then
        local time = redis_call('TIME')
        us = time[2]
        us = time[1] .. (#us == 6 and us or string.sub('00000' .. us, -6))
      end
      -- The place is written first, see park.lua.
      local place = us .. ' ' .. id
      local length = redis_call('RPUSHX', line, place)
      local new = redis_call('HSETNX', entries, id, us .. ' ' .. ARGV[5]) == 1
      local last = new and redis_call('SET', producer, number, 'PX', keep, 'GET')
      local before = last and string.match(last, '^(%d+)/?%d*$') -- see keep_number
      if new and (not last or before and tonumber(before) < tonumber(string.match(number, '^%d+'))) then
        if length == 0 then
          redis_call('RPUSH', line, place)
        end
        return 1
      end
      if last then
        redis_call('SET', producer, last, 'PX', keep)
        redis_call('HDEL', entries, id)
      end
      if length > 0 then
        redis_call('RPOP', line)
      end
    end
  end
end
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
local K_WINDOWS = 6e14
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}
local function group_text(group)
  texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
  return texts[group]
end
-- Returns whether an entry of the group is under way and no other may join it, and it neither drains nor has
-- identities. Nothing else is read.
local function is_busy(group)
  return string.find(group_text(group), '^[^din\n]+\n') ~= nil
end
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
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
  local read_group_1
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local text = group_text(group)
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
    read_group_1 = g
  end
  local g = read_group_1
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
        local state_text_2
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_2 = text
        end
        local text = state_text_2
        if other then
          local state_text_3
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_3 = text
          end
          local other_text = state_text_3
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
local KEEP = 600000 -- ms that a producer's number is remembered: longer than any caller repeats a call
local BELL = 5000 -- ms that a bell waits for a worker
-- Limits in the words of a call: "/+" and the ms until its ETA, at their end, is due at a time. Returns them with a
-- blank before, as an entry has them; empty when there are none.
local function limits_text(said)
  local limits, delay = string.match(said or '', '^(.*)/%+(%d+)$')
  limits = limits and limits .. '/' .. digits(now_ms() + delay) or said or ''
  return limits == '' and '' or ' ' .. limits
end
local soon = false -- a sweep has something to do now
local FAR = 3600000 -- ms: no time says when a task has its other places
local OUT, ROW = '\127o ', '\127w '
local LOOK = 10000 -- ms until a sweep looks at a tenant's row that nothing has moved; all rows at the same time
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local steps = 100 -- empty places that one call may walk over
local NAMES = 8 -- names that the entries of one task may have, see keys.py
local WALK = 500 -- empty places that one call may walk over
-- Returns whether a group has as many parked entries as it may have; most: nil: any number.
local function is_full(line, g, most)
  return most and redis_call('LLEN', line) - g.empty + g.aside >= most
end
local TAKEN = 8 -- names that the entries of one task may have, see keys.py

local line, producer, wake, list, group, number = KEYS[10], KEYS[11], KEYS[12], KEYS[13], ARGV[4], ARGV[6]
local queue, cut, from = string.match(ARGV[5], '^%S+ (%S+) (%d+)\n()')
local delay, replaces, most = tonumber(ARGV[7] or 0), ARGV[8], tonumber(ARGV[9] or '')

local us, busy, limits, identity = K_us_text, is_busy(group), limits_text(ARGV[11]), ARGV[12] ~= '' and ARGV[12] or nil
local g = (most or identity or not busy) and open_group(group)
local text = us .. ' ' .. string.sub(ARGV[5], 1, from - 2) .. limits .. '\n' .. string.sub(ARGV[5], from)
local refused = g and (has_flag(g, 'd') and -2 or is_full(line, g, most) and -3)
local name_call_65, name_call_66, name_call_67
do -- name_call(group, g, producer, number, ARGV[3], identity, ARGV[14], replaces)
  local id, latest = ARGV[3], ARGV[14]
  local name, holder, where = id, nil, nil
  local asks = identity or g and replaces ~= '1' and has_flag(g, 'i')
  if asks then
    local done = redis_call('GET', producer)
    local look_up_23
    do -- look_up(done, number)
      local last = done
      local own, first = string.match(number, '^(%d+)/?(%d*)$')
      local before, of, refused = string.match(last or '', '^(%d+)/?(%d*)(.*)$')
      local repeated, told = before and tonumber(before) >= tonumber(own), nil
      if of and of ~= '' then
        for from, to, words in string.gmatch(refused, ' (%d+)%-(%d+):(%S+)') do
          if tonumber(own) >= tonumber(from) and tonumber(own) <= tonumber(to) then
            repeated, told = true, words
          end
        end
      end
      local more = first ~= '' and of == first and refused or ''
      look_up_23 = repeated
    end
    local again = look_up_23
    asks = not again
  end
  if asks then
    local holder_of_62, holder_of_63
    do -- holder_of(group, g, identity or ';' .. id)
      local identity = identity or ';' .. id
      local said = redis_call('HGET', K_identities, 'i ' .. group .. ' ' .. identity)
      local till, names = string.match(said or '', '^(%S+) (.*)$')
      local found, where
      if till and till ~= '-' then
        found = tonumber(till) > now_ms() and names or nil
        where = 'e'
      else
        for name in string.gmatch(names or '', '%S+') do
          local entry = read_entry(name)
          if entry and entry.group == group then -- else it was set aside
            found, where = name, record_of(g, name) and 'a' or 'p'
          end
        end
      end
      holder_of_62, holder_of_63 = found, where
    end
    holder, where = holder_of_62, holder_of_63
    if latest == '1' and where ~= 'p' then
      local free_name_64
      do -- free_name(g, id)
        local name, free = id, nil
        for _ = 1, TAKEN do
          if redis_call('HEXISTS', K_entries, name) == 0 then
            free = name
            break
          elseif name == id and not record_of(g, id) then
            break
          end
          name = name .. ';r'
        end
        free_name_64 = free
      end
      name = free_name_64
      if name then
        holder = nil
      else
        local entry = read_entry(id)
        name, holder, where = id, id, entry and entry.group == group and not record_of(g, id) and 'p' or 'o'
      end
    elseif where == 'e' and not identity then
      holder = nil
    end
  end
  name_call_65, name_call_66, name_call_67 = name, holder, where
end
local id, holder, where = name_call_65, name_call_66, name_call_67
if holder then
  do -- refuse_early(producer, KEEP, number, '-1|' .. holder .. '|' .. where)
    local keep, words = KEEP, '-1|' .. holder .. '|' .. where
    if not tonumber(number) then
      do -- restore_number(producer, redis_call('GET', producer), keep, number, words)
        local last = redis_call('GET', producer)
        local own, first = string.match(number, '^(%d+)/(%d+)$')
        local value, answer = last, tostring(words)
        if own then
          local before, of, refused = string.match(last or '0', '^(%d+)/?(%d*)(.*)$')
          refused = of == first and refused or ''
          local others, from, to, said = string.match(refused, '^(.*) (%d+)%-(%d+):(%S+)$')
          if not others or said ~= answer or tonumber(to) + 1 ~= tonumber(own) then
            others, from = refused, own
          end
          value = before .. '/' .. first .. others .. ' ' .. from .. '-' .. own .. ':' .. answer
        end
        if value then
          redis_call('SET', producer, value, 'PX', keep)
        else
          redis_call('DEL', producer)
        end
      end
    end
  end
  return { -1, holder, where }
end

-- The place is written first: a foreign key of the line's name stops the script before any other write.
local joins = delay <= 0 and not refused
local first = joins and redis_call('RPUSHX', line, us .. ' ' .. id) == 0
local known = refused and redis_call('HEXISTS', K_entries, id) == 1
  or not refused and redis_call('HSETNX', K_entries, id, text) == 0
local keep_number_24, keep_number_25, keep_number_26
do -- keep_number(producer, number, KEEP)
  local keep = KEEP
  local last = redis_call('SET', producer, number, 'PX', keep, 'GET')
  local repeated = last and (tonumber(last) or -1) >= (tonumber(number) or math.huge)
  local told
  if last and not (tonumber(last) and tonumber(number)) then
    local kept
    local look_up_20, look_up_21, look_up_22
    do -- look_up(last, number)
      local own, first = string.match(number, '^(%d+)/?(%d*)$')
      local before, of, refused = string.match(last or '', '^(%d+)/?(%d*)(.*)$')
      local repeated, told = before and tonumber(before) >= tonumber(own), nil
      if of and of ~= '' then
        for from, to, words in string.gmatch(refused, ' (%d+)%-(%d+):(%S+)') do
          if tonumber(own) >= tonumber(from) and tonumber(own) <= tonumber(to) then
            repeated, told = true, words
          end
        end
      end
      local more = first ~= '' and of == first and refused or ''
      look_up_20, look_up_21, look_up_22 = repeated, told, number .. more
    end
    repeated, told, kept = look_up_20, look_up_21, look_up_22
    if not repeated and kept ~= number then
      redis_call('SET', producer, kept, 'PX', keep)
    end
  end
  if repeated then
    redis_call('SET', producer, last, 'PX', keep)
  end
  keep_number_24, keep_number_25, keep_number_26 = last, repeated, told
end
local last, repeated, told = keep_number_24, keep_number_25, keep_number_26

local lists, out, name, r = { [queue] = list }, {}, nil, nil
local drops = refused == -3 and ARGV[10] == '1' and not known and not repeated
if drops then
  local make_room_60, make_room_61
  do -- make_room(line, group, g, id, text, delay, out, producer, number, KEEP)
    local id, text, keep = id, text, KEEP
    local refused, first = -3, nil
    local drop_oldest_58, drop_oldest_59
    do -- drop_oldest(line, group, g)
      local id, text, several
      for _ = 1, WALK do
        local item = not text and not several and redis_call('LPOP', line)
        if item then
          id = string.sub(item, 18)
          local entry, corrupt = read_entry(id)
          several = entry and has_flag(g, 'k')
            and (entry.cut == 0 or redis_call('HEXISTS', K_begins, 'k ' .. id) == 1)
          if several then
            redis_call('LPUSH', line, item)
          elseif entry and entry.us == string.sub(item, 1, 16) then
            text = entry.text
            redis_call('HDEL', K_entries, id)
            do -- free_identity(id, group, g, false)
              local ran = false
              local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
              local after, identity = string.match(said or '', '^(%d+) (.*)$')
              if identity then
                local field = 'i ' .. group .. ' ' .. identity
                local others_of_48
                do -- others_of(field, id)
                  local others = ''
                  local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
                  for name in string.gmatch(names or '', '%S+') do
                    others = others .. (name == id and '' or ' ' .. name)
                  end
                  others_of_48 = others
                end
                local others = others_of_48
                redis_call('HDEL', K_identities, 'n ' .. id)
                if others ~= '' then
                  redis_call('HSET', K_identities, field, '-' .. others)
                elseif ran and after ~= '0' then
                  local till = digits(now_ms() + after)
                  redis_call('HSET', K_identities, field, till .. ' ' .. id)
                  redis_call('ZADD', K_due, K_REST + till, field)
                else
                  redis_call('HDEL', K_identities, field)
                end
              end
            end
            redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
            redis_call('HINCRBY', K_stats, 'tasks_revoked', 1)
          elseif corrupt then
            do -- set_aside(id, group, 'corrupt', corrupt)
              local why, text = 'corrupt', corrupt
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
          else -- it was revoked: its place is empty
            do -- add_to(g, 'empty', -1)
              local what, number = 'empty', -1
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
          end
        end
      end
      do -- write_group(group, g)
        local other, other_g = nil, nil
        local state_text_2
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_2 = text
        end
        local text = state_text_2
        if other then
          local state_text_3
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_3 = text
          end
          local other_text = state_text_3
          redis_call('HSET', K_groups, group, text, other, other_text)
        else
          redis_call('HSET', K_groups, group, text)
        end
      end
      drop_oldest_58, drop_oldest_59 = text and id, text
    end
    out[1], out[2] = drop_oldest_58, drop_oldest_59
    if out[1] then
      redis_call('HSET', K_entries, id, text)
      refused, first = nil, delay <= 0 and redis_call('RPUSHX', line, string.sub(text, 1, 17) .. id) == 0
    end
    redis_call('SET', producer, table.concat({ number, out[1], out[2] }, ' '), 'PX', keep) -- for a repetition
    make_room_60, make_room_61 = refused, first
  end
  refused, first = make_room_60, make_room_61
end
if known and not repeated then
  local name_replacement_55, name_replacement_56, name_replacement_57
  do -- name_replacement(id, group, replaces)
    local find_record_14, find_record_15, find_record_16
    do -- find_record(id)
      local entry, found, g = read_entry(id), nil, nil
      if entry then
        g = open_group(entry.group)
        found = record_of(g, id)
      end
      find_record_14, find_record_15, find_record_16 = found, entry and entry.group, g
    end
    local r, of, g = find_record_14, find_record_15, find_record_16
    local name, found = replaces == '1' and r and r.state == 'r' and id, nil
    for _ = 1, NAMES do
      if not name or r and r.state == 'r' and of == group then
        found = name
        break
      elseif redis_call('HEXISTS', K_entries, name) == 0 then
        found, r = name, nil
        break
      end
      name = name .. ';r'
      local find_record_17, find_record_18, find_record_19
      do -- find_record(name)
        local id = name
        local entry, found, g = read_entry(id), nil, nil
        if entry then
          g = open_group(entry.group)
          found = record_of(g, id)
        end
        find_record_17, find_record_18, find_record_19 = found, entry and entry.group, g
      end
      r, of, g = find_record_17, find_record_18, find_record_19
    end
    name_replacement_55, name_replacement_56, name_replacement_57 = found, r, g
  end
  name, r, g = name_replacement_55, name_replacement_56, name_replacement_57
end
if (known or repeated) and joins and not first then
  redis_call('RPOP', line) -- it has, or had, its place already
end
if repeated then
  if not known and not refused then
    redis_call('HDEL', K_entries, id)
  end
  local answer_again_54
  do -- answer_again(lists, group, last, told, out)
    local reply
    if told then
      local told_again_53
      do -- told_again(told)
        local words = told
        local reply = {}
        for word in string.gmatch(words, '[^|]+') do
          reply[#reply + 1] = #reply == 0 and tonumber(word) or word
        end
        told_again_53 = reply
      end
      reply = told_again_53
    else
      out[1], out[2] = string.match(last, '^%d+ (%S+) (.*)')
      local code = out[1] and 3 or 2
      do -- heads_again(lists, open_group(group), out)
        local g = open_group(group)
        for _, r in ipairs(g) do
          do -- ask_again(lists, r, out)
            local entry = read_entry(r.id)
            if entry and r.state == 'w' and not lists[r.queue] then
              local compose_45
              do -- compose(r.id, entry, r.release, r.lost)
                local id, drawn, lost = r.id, r.release, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                local cut = entry.at + entry.cut
                compose_45 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_45
              out[#out + 1] = r.queue
              out[#out + 1] = message
            end
          end
        end
      end
      reply = { code, unpack(out) }
    end
    answer_again_54 = reply
  end
  return answer_again_54
elseif known and not name or refused and not r then
  local code = known and not name and -1 or refused
  do -- restore_number(producer, last, KEEP, number, code)
    local keep, words = KEEP, code
    local own, first = string.match(number, '^(%d+)/(%d+)$')
    local value, answer = last, tostring(words)
    if own then
      local before, of, refused = string.match(last or '0', '^(%d+)/?(%d*)(.*)$')
      refused = of == first and refused or ''
      local others, from, to, said = string.match(refused, '^(.*) (%d+)%-(%d+):(%S+)$')
      if not others or said ~= answer or tonumber(to) + 1 ~= tonumber(own) then
        others, from = refused, own
      end
      value = before .. '/' .. first .. others .. ' ' .. from .. '-' .. own .. ':' .. answer
    end
    if value then
      redis_call('SET', producer, value, 'PX', keep)
    else
      redis_call('DEL', producer)
    end
  end
  return { code }
elseif r then
  do -- store_continuation(group, r, queue, cut, string.sub(ARGV[5], from), delay)
    local message = string.sub(ARGV[5], from)
    local text = redis_call('HGET', K_entries, r.id) or ''
    local parked, limits = string.match(text, '^(%d+) %S+ %S+ %d+([^\n]*)\n')
    local head = table.concat({ parked or K_us_text, group, queue, cut }, ' ') .. (limits or '')
    redis_call('HSET', K_entries, r.id, head .. '\n' .. message)
    r.due = digits(now_ms() + delay)
  end
  do -- write_group(group, g)
    local other, other_g = nil, nil
    local state_text_2
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_2 = text
    end
    local text = state_text_2
    if other then
      local state_text_3
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_3 = text
      end
      local other_text = state_text_3
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
  return { 1 }
elseif known then
  id, g = name, not busy and open_group(group)
  redis_call('HSET', K_entries, id, text)
end

do -- claim_new(group, g, identity, ARGV[13], ARGV[14], ARGV[3], id)
  local after, latest, id, name = ARGV[13], ARGV[14], ARGV[3], id
  if identity and (name ~= id or latest ~= '1' or string.sub(identity, 1, 1) ~= ';') then
    do -- claim(group, g, identity, after, name)
      local field = 'i ' .. group .. ' ' .. identity
      local alive = ''
      local others_of_49
      do -- others_of(field, name)
        local id = name
        local others = ''
        local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
        for name in string.gmatch(names or '', '%S+') do
          others = others .. (name == id and '' or ' ' .. name)
        end
        others_of_49 = others
      end
      local others = others_of_49
      for other in string.gmatch(others, '%S+') do
        alive = alive .. (redis_call('HEXISTS', K_entries, other) == 1 and ' ' .. other or '')
      end
      redis_call('HSET', K_identities, field, '-' .. alive .. ' ' .. name, 'n ' .. name, after .. ' ' .. identity)
      if not has_flag(g, 'i') then
        do -- add_mark(g, 'i')
          local letter = 'i'
          g.flags = (g.flags == '-' and '' or g.flags) .. letter
        end
        do -- write_group(group, g)
          local other, other_g = nil, nil
          local state_text_2
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_2 = text
          end
          local text = state_text_2
          if other then
            local state_text_3
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_3 = text
            end
            local other_text = state_text_3
            redis_call('HSET', K_groups, group, text, other, other_text)
          else
            redis_call('HSET', K_groups, group, text)
          end
        end
      end
    end
  end
end
if delay > 0 then
  g = open_group(group)
  do -- schedule(group, g, id, delay, wake, ARGV[15])
    local value = ARGV[15]
    local at = K_ETAS + now_ms() + delay
    local sooner = redis_call('ZRANGEBYSCORE', K_due, K_ETAS, at, 'LIMIT', 0, 1)
    redis_call('ZADD', K_due, at, 'e ' .. group .. ' ' .. id)
    do -- add_to(g, 'aside', 1)
      local what, number = 'aside', 1
      g[what] = string.format('%.0f', math.max(g[what] + number, 0))
    end
    if value then
      do -- wait_in_window(group, g, id, value, delay)
        local window = delay
        local draw_number_5
        do -- draw_number()
          local drawn = K_us_text
          local last = redis_call('SET', K_fence, drawn, 'GET')
          if last and last >= drawn then -- both have 16 digits
            drawn = string.format('%.0f', last + 1)
            redis_call('SET', K_fence, drawn)
          end
          draw_number_5 = drawn
        end
        local drawn = draw_number_5
        redis_call('ZADD', K_due, K_WINDOWS, 's ' .. group .. ' ' .. value .. ' ' .. drawn .. ' ' .. id)
        redis_call('HSET', K_begins, 'o ' .. id, value .. ' ' .. drawn .. ' ' .. digits(window))
        if not has_flag(g, 'w') then
          do -- add_mark(g, 'w')
            local letter = 'w'
            g.flags = (g.flags == '-' and '' or g.flags) .. letter
          end
        end
      end
    end
    do -- write_group(group, g)
      local other, other_g = nil, nil
      local state_text_2
      do -- state_text(g)
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_2 = text
      end
      local text = state_text_2
      if other then
        local state_text_3
        do -- state_text(other_g)
          local g = other_g
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_3 = text
        end
        local other_text = state_text_3
        redis_call('HSET', K_groups, group, text, other, other_text)
      else
        redis_call('HSET', K_groups, group, text)
      end
    end
    if not sooner[1] then
      do -- ring(wake)
        redis_call('LPUSH', wake, K_us_text)
        redis_call('LTRIM', wake, 0, 0)
        redis_call('PEXPIRE', wake, BELL)
      end
    end
  end
elseif first and not busy and #g == 0 and not has_flag(g, 'p') then -- no entry is before it
  do -- release_first(lists, group, g, id, queue, cut, limits, text, #ARGV[5] - from + 1, out, wake)
    local group, id, queue, cut, limits, text, length = group, id, queue, cut, limits, text, #ARGV[5] - from + 1
    local entry = {
      us = string.sub(text, 1, 16), group = group, queue = queue, cut = tonumber(cut), limits = limits, text = text,
      at = #text - length + 1,
    }
    local new_record_8
    do -- new_record(id, queue)
      new_record_8 = {
        state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
        call = '-', queue = queue,
      }
    end
    local head = new_record_8
    g[1] = head
    do -- release(lists, group, g, head, entry, out)
      local r = head
      local held
      if entry.limits ~= '' or g.flags ~= '-' then
        local hold_back_42
        do -- hold_back(group, g, r, entry)
          local limits_of_34
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
            limits_of_34 = limits
          end
          local limits = limits_of_34
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
            local counted_begins_30, counted_begins_31, counted_begins_32
            do -- counted_begins(group)
              local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
              local begins = {}
              for ms in string.gmatch(times or '', '%d+') do
                begins[#begins + 1] = tonumber(ms)
              end
              counted_begins_30, counted_begins_31, counted_begins_32 = begins, tonumber(starts or 0), tonumber(window or 0)
            end
            local begins, starts, window = counted_begins_30, counted_begins_31, counted_begins_32
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
            local await_places_39
            do -- await_places(r, entry)
              local stands_for_35, stands_for_36
              do -- stands_for(r.id)
                local id = r.id
                local of, name
                if string.find(id, ';k', 1, true) then
                  of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                end
                stands_for_35, stands_for_36 = of, name
              end
              local of, name = stands_for_35, stands_for_36
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
              await_places_39 = free_at
            end
            awaits = await_places_39
          end
          hold_back_42 = free_at or awaits
        end
        held = hold_back_42
        if not held then
          local take_turn_43
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
                local draw_number_6
                do -- draw_number()
                  local drawn = K_us_text
                  local last = redis_call('SET', K_fence, drawn, 'GET')
                  if last and last >= drawn then -- both have 16 digits
                    drawn = string.format('%.0f', last + 1)
                    redis_call('SET', K_fence, drawn)
                  end
                  draw_number_6 = drawn
                end
                local number = draw_number_6
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
            take_turn_43 = waits
          end
          held = take_turn_43
        end
      end
      if held then
        do -- write_group(group, g)
          local other, other_g = nil, nil
          local state_text_2
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_2 = text
          end
          local text = state_text_2
          if other then
            local state_text_3
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_3 = text
            end
            local other_text = state_text_3
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
            local draw_number_7
            do -- draw_number()
              local drawn = K_us_text
              local last = redis_call('SET', K_fence, drawn, 'GET')
              if last and last >= drawn then -- both have 16 digits
                drawn = string.format('%.0f', last + 1)
                redis_call('SET', K_fence, drawn)
              end
              draw_number_7 = drawn
            end
            drawn = draw_number_7
          end
          r.state, r.release, r.fence, r.since, r.queue = 'w', drawn, '-', K_ms_text, queue
          r.owner, r.call, r.due, r.stop = '-', '-', '-', '-'
          do -- write_group(group, g, other, other_g)
            local state_text_2
            do -- state_text(g)
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_2 = text
            end
            local text = state_text_2
            if other then
              local state_text_3
              do -- state_text(other_g)
                local g = other_g
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_3 = text
              end
              local other_text = state_text_3
              redis_call('HSET', K_groups, group, text, other, other_text)
            else
              redis_call('HSET', K_groups, group, text)
            end
          end
          local compose_44
          do -- compose(r.id, entry, drawn, r.lost)
            local id, lost = r.id, r.lost
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
            local cut = entry.at + entry.cut
            compose_44 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_44
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
    if head.due ~= '-' then -- no worker knows of it
      do -- ring(wake)
        redis_call('LPUSH', wake, K_us_text)
        redis_call('LTRIM', wake, 0, 0)
        redis_call('PEXPIRE', wake, BELL)
      end
    end
  end
else
  if known or first then
    redis_call('RPUSH', line, us .. ' ' .. id)
  end
  if not busy and (#g == 0 or has_flag(g, 'n')) then
    do -- advance(lists, line, group, g, out)
      local take_head_51, take_head_52
      do -- take_head(line, group, g)
        local head, entry, corrupt
        if g[1] then
          local take_follower_46, take_follower_47
          do -- take_follower(line, g)
            local head, entry
            local free = not has_flag(g, 'p')
            for _, r in ipairs(g) do
              free = free and r.stop == 'f'
            end
            while free and g[1] and not head do
              local found, corrupt = read_entry(g[1].id)
              if found then
                head, entry = g[1], found
                head.stop = '-'
              else
                if corrupt then -- it is set aside there, when its turn comes
                  redis_call('LPUSH', line, K_us_text .. ' ' .. g[1].id)
                end
                table.remove(g, 1)
              end
            end
            take_follower_46, take_follower_47 = head, entry
          end
          head, entry = take_follower_46, take_follower_47
        end
        local others = #g
        local has_room_40
        do -- has_room(g)
          local room = not has_flag(g, 'p') and (#g == 0 or has_flag(g, 'n'))
          for at = 1, room and #g or 0 do
            room = room and g[at].state ~= 'w' and g[at].stop == '-'
          end
          has_room_40 = room
        end
        local is_free = has_room_40
        is_free = is_free and not head
        local item = is_free and steps > 0 and redis_call('LPOP', line)
        while item do
          local id = string.sub(item, 18)
          entry, corrupt = read_entry(id)
          local stands, left = entry and entry.us == string.sub(item, 1, 16), false
          if stands and has_flag(g, 'k') then
            local is_left_behind_50
            do -- is_left_behind(id)
              local stands_for_37, stands_for_38
              do -- stands_for(id)
                local of, name
                if string.find(id, ';k', 1, true) then
                  of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                end
                stands_for_37, stands_for_38 = of, name
              end
              local _, name = stands_for_37, stands_for_38
              local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
              is_left_behind_50 = name and not said or said == '!'
            end
            left = is_left_behind_50
          end
          if left then
            do -- remove_left(id)
              local known = redis_call('HDEL', K_entries, id)
              if string.find(id, ';k', 1, true) then
                redis_call('HINCRBY', K_stats, 'stand_ins', -known)
              else
                redis_call('HINCRBY', K_stats, 'tasks_removed', known)
                redis_call('HDEL', K_begins, 'k ' .. id)
              end
            end
          elseif stands then
            local fits = true
            if others > 0 then
              local may_join_41
              do -- may_join(group, g, entry, others)
                local limits_of_33
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
                  limits_of_33 = limits
                end
                local limits = limits_of_33
                may_join_41 = (limits.together or 1) > others
              end
              fits = may_join_41
            end
            if not fits then
              redis_call('LPUSH', line, item)
            else
              local new_record_9
              do -- new_record(id, entry.queue)
                local queue = entry.queue
                new_record_9 = {
                  state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
                  call = '-', queue = queue,
                }
              end
              head = new_record_9
              g[others + 1] = head
            end
            break
          elseif corrupt then
            do -- leave_places(id)
              local name, by, ran = id, nil, nil
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
                  local state_text_2
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_2 = text
                  end
                  local text = state_text_2
                  if other then
                    local state_text_3
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_3 = text
                    end
                    local other_text = state_text_3
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
            do -- set_aside(id, group, 'corrupt', corrupt)
              local why, text = 'corrupt', corrupt
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
          else -- it was revoked: its place is empty
            do -- add_to(g, 'empty', -1)
              local what, number = 'empty', -1
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
          end
          steps = steps - 1
          item = steps > 0 and redis_call('LPOP', line)
        end
        if is_free and steps == 0 and not head then
          redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group) -- more empty places than that: a sweep goes on
        end
        g.ended = others == 0 and is_free and not item and steps > 0 and g.aside == '0'
        g.drained = not head and has_flag(g, 'd')
        if g.drained then
          local depth_of_10
          do -- depth_of(line, g)
            depth_of_10 = redis_call('LLEN', line) - g.empty + g.aside + #g
          end
          local depth = depth_of_10
          g.drained = depth <= 0
        end
        take_head_51, take_head_52 = head, entry
      end
      local head, entry = take_head_51, take_head_52
      if head then
        do -- release(lists, group, g, head, entry, out)
          local r = head
          local held
          if entry.limits ~= '' or g.flags ~= '-' then
            local hold_back_42
            do -- hold_back(group, g, r, entry)
              local limits_of_34
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
                limits_of_34 = limits
              end
              local limits = limits_of_34
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
                local counted_begins_30, counted_begins_31, counted_begins_32
                do -- counted_begins(group)
                  local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                  local begins = {}
                  for ms in string.gmatch(times or '', '%d+') do
                    begins[#begins + 1] = tonumber(ms)
                  end
                  counted_begins_30, counted_begins_31, counted_begins_32 = begins, tonumber(starts or 0), tonumber(window or 0)
                end
                local begins, starts, window = counted_begins_30, counted_begins_31, counted_begins_32
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
                local await_places_39
                do -- await_places(r, entry)
                  local stands_for_35, stands_for_36
                  do -- stands_for(r.id)
                    local id = r.id
                    local of, name
                    if string.find(id, ';k', 1, true) then
                      of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                    end
                    stands_for_35, stands_for_36 = of, name
                  end
                  local of, name = stands_for_35, stands_for_36
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
                  await_places_39 = free_at
                end
                awaits = await_places_39
              end
              hold_back_42 = free_at or awaits
            end
            held = hold_back_42
            if not held then
              local take_turn_43
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
                    local draw_number_6
                    do -- draw_number()
                      local drawn = K_us_text
                      local last = redis_call('SET', K_fence, drawn, 'GET')
                      if last and last >= drawn then -- both have 16 digits
                        drawn = string.format('%.0f', last + 1)
                        redis_call('SET', K_fence, drawn)
                      end
                      draw_number_6 = drawn
                    end
                    local number = draw_number_6
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
                take_turn_43 = waits
              end
              held = take_turn_43
            end
          end
          if held then
            do -- write_group(group, g)
              local other, other_g = nil, nil
              local state_text_2
              do -- state_text(g)
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_2 = text
              end
              local text = state_text_2
              if other then
                local state_text_3
                do -- state_text(other_g)
                  local g = other_g
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_3 = text
                end
                local other_text = state_text_3
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
                local draw_number_7
                do -- draw_number()
                  local drawn = K_us_text
                  local last = redis_call('SET', K_fence, drawn, 'GET')
                  if last and last >= drawn then -- both have 16 digits
                    drawn = string.format('%.0f', last + 1)
                    redis_call('SET', K_fence, drawn)
                  end
                  draw_number_7 = drawn
                end
                drawn = draw_number_7
              end
              r.state, r.release, r.fence, r.since, r.queue = 'w', drawn, '-', K_ms_text, queue
              r.owner, r.call, r.due, r.stop = '-', '-', '-', '-'
              do -- write_group(group, g, other, other_g)
                local state_text_2
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_2 = text
                end
                local text = state_text_2
                if other then
                  local state_text_3
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_3 = text
                  end
                  local other_text = state_text_3
                  redis_call('HSET', K_groups, group, text, other, other_text)
                else
                  redis_call('HSET', K_groups, group, text)
                end
              end
              local compose_44
              do -- compose(r.id, entry, drawn, r.lost)
                local id, lost = r.id, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                local cut = entry.at + entry.cut
                compose_44 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_44
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
        do -- close_group(group, g)
          if g.drained then
            do -- clear_flag(group, g, 'd')
              local letter = 'd'
              redis_call('HDEL', K_flags, letter .. ' ' .. group)
              do -- drop_mark(g, letter)
                g.flags = string.gsub(g.flags, letter, '', 1)
                g.flags = g.flags == '' and '-' or g.flags
              end
            end
          end
          if g.ended and not string.find(g.flags, '[^finoswkv-]') then -- these marks end with the last entry
            redis_call('HDEL', K_groups, group)
            if has_flag(g, 's') then
              do -- forget_begins(group)
                local counted_begins_27, counted_begins_28, counted_begins_29
                do -- counted_begins(group)
                  local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                  local begins = {}
                  for ms in string.gmatch(times or '', '%d+') do
                    begins[#begins + 1] = tonumber(ms)
                  end
                  counted_begins_27, counted_begins_28, counted_begins_29 = begins, tonumber(starts or 0), tonumber(window or 0)
                end
                local _, _, window = counted_begins_27, counted_begins_28, counted_begins_29
                redis_call('ZADD', K_due, K_REST + now_ms() + window, 't ' .. group)
              end
            end
          else
            do -- write_group(group, g)
              local other, other_g = nil, nil
              local state_text_2
              do -- state_text(g)
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_2 = text
              end
              local text = state_text_2
              if other then
                local state_text_3
                do -- state_text(other_g)
                  local g = other_g
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_3 = text
                end
                local other_text = state_text_3
                redis_call('HSET', K_groups, group, text, other, other_text)
              else
                redis_call('HSET', K_groups, group, text)
              end
            end
          end
        end
      end
    end
  end
end
return { drops and 3 or 1, out[1], out[2], out[3], out[4] }
