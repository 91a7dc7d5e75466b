-- Made of lua/exchange.lua by `make scripts`: change that file, not this one.
--
-- exchange: give a parked entry a new message. It keeps its place, and the time of its ETA. With another id it becomes
-- that task's entry, and the task that had the place never starts.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] line      (list)    of the group
-- KEYS[11] producer  (string)  "<last number>" of this producer, then id and text of the entry that lost its place
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)
-- ARGV[5]  queue     (text)
-- ARGV[6]  cut       (bytes)   where the message's second ticket goes
-- ARGV[7]  message   (bytes)
-- ARGV[8]  number    (count)   of this producer's calls, from 1
-- ARGV[9]  keep      (ms)      how long the producer's number is remembered
-- ARGV[10] limits    (text)    of the new call, see lib/limits.lua; empty: none
-- ARGV[11] old       (text)    the parked entry
-- ARGV[12] identity  (text)    of both; absent: the id
-- ARGV[13] after     (ms)      how long it counts after the end; absent with `identity`
-- Returns {1} done, now or before · {1, old, entry} done, and the entry that lost its place
--         · {0} there is no old one, or it has no place · {-1} it is under way, or in another group
--         · {-2} another entry has the id, or the old one has several keys
-- Complexity O(1); O(log places) with another id, O(places) where the old one is not in the order of parking
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_begins = KEYS[6]
local K_identities = K_begins
local K_stats = KEYS[8]
local K_dead = KEYS[9]
-- The starts of the ranges of due.
local K_REST = 3e14
local K_WINDOWS = 6e14
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
local TAKEN = 8 -- names that the entries of one task may have, see keys.py
local NEAR, LOOKS = 100, 2 -- places that are read at once; looks of one call
local function time_of(item)
  return tonumber(string.match(item or '', '^%d+') or 0)
end
local function index_of(items, item)
  local found
  for at = 1, #items do
    found = items[at] == item and at or found
  end
  return found
end
-- Give the place of a parked entry, or the time of its ETA, or its window, to another name. Returns whether it has one:
-- a part of the line that is cut off has none.
local function rename_place(line, group, g, us, old, new)
  local later, item, at = redis_call('ZSCORE', K_due, 'e ' .. group .. ' ' .. old), us .. ' ' .. old, nil
  if later then
    redis_call('ZREM', K_due, 'e ' .. group .. ' ' .. old)
    redis_call('ZADD', K_due, later, 'e ' .. group .. ' ' .. new)
    local leave_window_18, leave_window_19
    do -- leave_window(group, g, old)
      local id = old
      local said = has_flag(g, 'w') and redis_call('HGET', K_begins, 'o ' .. id)
      local order, window = string.match(said or '', '^(%d+ %d+) (%d+)$')
      if order then
        redis_call('HDEL', K_begins, 'o ' .. id)
        redis_call('ZREM', K_due, 's ' .. group .. ' ' .. order .. ' ' .. id)
      end
      leave_window_18, leave_window_19 = order, window
    end
    local order, window = leave_window_18, leave_window_19
    if order then
      redis_call('ZADD', K_due, K_WINDOWS, 's ' .. group .. ' ' .. order .. ' ' .. new)
      redis_call('HSET', K_begins, 'o ' .. new, order .. ' ' .. window)
    end
  else
    local so_far = ''
    repeat
      local place_by_time_20, place_by_time_21
      do -- place_by_time(line, tonumber(us), item, so_far)
        local us = tonumber(us)
        local first, last, low, high, look = string.match(so_far, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
        if first then
          first, last, low, high = tonumber(first), tonumber(last), tonumber(low), tonumber(high)
        else
          first, last, look = 0, redis_call('LLEN', line), 0
          low, high = time_of(redis_call('LINDEX', line, 0)), time_of(redis_call('LINDEX', line, -1))
        end
        local found
        for turn = look + 1, look + LOOKS do
          if found or first >= last then
            break
          end
          look = turn
          local part = turn % 3 == 0 and 0.5 or (us - low) / math.max(high - low, 1) -- times may be uneven
          local from = math.max(math.min(math.floor(first + (last - first) * part) - NEAR / 2, last - NEAR), first)
          local items = redis_call('LRANGE', line, from, math.min(from + NEAR, last) - 1)
          local at, earliest, latest = index_of(items, item), time_of(items[1]), time_of(items[#items])
          if at then
            found = from + at - 1
          elseif us < earliest then
            last, high = from, earliest
          elseif us > latest and #items > 0 then
            first, low = from + #items, latest
          else -- it is among those that were parked at this time, or nowhere
            from, last = math.max(from - NEAR, 0), first
            at = index_of(redis_call('LRANGE', line, from, from + 3 * NEAR - 1), item)
            found = at and from + at - 1
          end
        end
        local more = not found and first < last
        place_by_time_20, place_by_time_21 = found, more and string.format('%d %d %.0f %.0f %d', first, last, low, high, look) or ''
      end
      at, so_far = place_by_time_20, place_by_time_21
    until so_far == ''
    at = at or redis_call('LPOS', line, item)
    if at then
      redis_call('LSET', line, at, us .. ' ' .. new)
    end
  end
  return later or at
end
-- Limits in the words of a call: "/+" and the ms until its ETA, at their end, is due at a time. Returns them with a
-- blank before, as an entry has them; empty when there are none.
local function limits_text(said)
  local limits, delay = string.match(said or '', '^(.*)/%+(%d+)$')
  limits = limits and limits .. '/' .. digits(now_ms() + delay) or said or ''
  return limits == '' and '' or ' ' .. limits
end

local line, producer = KEYS[10], KEYS[11]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local number, keep, limits, old, identity, after = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]

local keep_number_15, keep_number_16
do -- keep_number(producer, number, keep)
  local last = redis_call('SET', producer, number, 'PX', keep, 'GET')
  local repeated = last and (tonumber(last) or -1) >= (tonumber(number) or math.huge)
  local told
  if last and not (tonumber(last) and tonumber(number)) then
    local kept
    local look_up_12, look_up_13, look_up_14
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
      look_up_12, look_up_13, look_up_14 = repeated, told, number .. more
    end
    repeated, told, kept = look_up_12, look_up_13, look_up_14
    if not repeated and kept ~= number then
      redis_call('SET', producer, kept, 'PX', keep)
    end
  end
  if repeated then
    redis_call('SET', producer, last, 'PX', keep)
  end
  keep_number_15, keep_number_16 = last, repeated
end
local last, repeated = keep_number_15, keep_number_16
if repeated then
  local name, text = string.match(last, ' (%S+) (.*)')
  return { 1, name, text }
end
local open_group_9
do -- open_group(group)
  local read_group_4
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_3
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_3 = texts[group]
      end
      local text = group_text_3
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
    read_group_4 = g
  end
  local g = read_group_4
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
        local state_text_5
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_5 = text
        end
        local text = state_text_5
        if other then
          local state_text_6
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_6 = text
          end
          local other_text = state_text_6
          redis_call('HSET', K_groups, group, text, other, other_text)
        else
          redis_call('HSET', K_groups, group, text)
        end
      end
      redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
    end
  end
  open_group_9 = g
end
local g = open_group_9
local entry, name = read_entry(old), old
local refused = not entry and 0 or (entry.group ~= group or record_of(g, old)) and -1 or nil
if not refused and has_flag(g, 'k') and redis_call('HEXISTS', K_begins, 'k ' .. old) == 1 then
  refused = -2
end
if not refused and string.match(old, '^[^;]*') ~= id then
  local free_name_17
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
    free_name_17 = free
  end
  name = free_name_17
  local placed = name and rename_place(line, group, g, entry.us, old, name)
  refused = not name and -2 or not placed and 0 or nil
  if refused == 0 then
    do -- free_identity(old, group, g, false)
      local id, ran = old, false
      local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
      local after, identity = string.match(said or '', '^(%d+) (.*)$')
      if identity then
        local field = 'i ' .. group .. ' ' .. identity
        local others_of_10
        do -- others_of(field, id)
          local others = ''
          local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
          for name in string.gmatch(names or '', '%S+') do
            others = others .. (name == id and '' or ' ' .. name)
          end
          others_of_10 = others
        end
        local others = others_of_10
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
  end
end
if refused then
  do -- restore_number(producer, last, keep, number, '')
    local words = ''
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
  return { refused }
end
local out = { 1 }
if name ~= old then
  redis_call('HDEL', K_entries, old)
  redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
  redis_call('HINCRBY', K_stats, 'tasks_revoked', 1)
  do -- free_identity(old, group, g, false)
    local id, ran = old, false
    local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
    local after, identity = string.match(said or '', '^(%d+) (.*)$')
    if identity then
      local field = 'i ' .. group .. ' ' .. identity
      local others_of_10
      do -- others_of(field, id)
        local others = ''
        local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
        for name in string.gmatch(names or '', '%S+') do
          others = others .. (name == id and '' or ' ' .. name)
        end
        others_of_10 = others
      end
      local others = others_of_10
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
  do -- claim(group, g, identity, after, name)
    local field = 'i ' .. group .. ' ' .. identity
    local alive = ''
    local others_of_11
    do -- others_of(field, name)
      local id = name
      local others = ''
      local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
      for name in string.gmatch(names or '', '%S+') do
        others = others .. (name == id and '' or ' ' .. name)
      end
      others_of_11 = others
    end
    local others = others_of_11
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
        local state_text_5
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_5 = text
        end
        local text = state_text_5
        if other then
          local state_text_6
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_6 = text
          end
          local other_text = state_text_6
          redis_call('HSET', K_groups, group, text, other, other_text)
        else
          redis_call('HSET', K_groups, group, text)
        end
      end
    end
  end
  redis_call('SET', producer, table.concat({ number, old, entry.text }, ' '), 'PX', keep) -- for a repetition
  out[2], out[3] = old, entry.text
end
local due = string.match(entry.limits, ' l%d+/%d+/%d+(/%d+)')
if due and not string.find(' ' .. limits, ' l') then
  limits = (limits == '' and '' or limits .. ' ') .. 'l0/0/0'
end
limits = limits .. (due or '')
local head = table.concat({ entry.us, group, queue, cut }, ' ') .. limits_text(limits)
redis_call('HSET', K_entries, name, head .. '\n' .. message)
return out
