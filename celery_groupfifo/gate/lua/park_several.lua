-- Made of lua/park_several.lua by `make scripts`: change that file, not this one.
--
-- park_several: let an entry join the lines of several groups, in one step; see lib/stand_in.lua.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] producer  (string)  "<last number>" of this producer
-- KEYS[11] wake      (list)    wakes one sweeping worker
-- KEYS[12-] line     (list)    of each group
-- KEYS[..] list      (list)    the broker's list of the entry's queue; absent on other brokers
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  queue     (text)
-- ARGV[5]  cut       (bytes)   where the message's second ticket goes
-- ARGV[6]  message   (bytes)
-- ARGV[7]  number    (text)    of this producer's parks, from 1; of many in one round trip see lib/number.lua
-- ARGV[8]  keep      (ms)      how long the producer's number is remembered
-- ARGV[9]  replaces  (0 | 1)   the id may be of a running task: then it has another name
-- ARGV[10] most      (count)   parked entries that each group may have; '': any number
-- ARGV[11] limits    (text)    of the entry, see lib/limits.lua; '': none
-- ARGV[12] many      (count)   groups
-- ARGV[13-] groups   (text)    the first one is that of the entry
-- Returns {1, queue, message} parked; to publish when given · {2, [queue, message]...} parked by this call before
--         · {-1} the id is parked or running already · {-2, place} a group is draining: its place, from 1
--         · {-3, place} one is full
-- Complexity O(groups)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_flags = KEYS[4]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
local K_fence = KEYS[7]
local K_stats = KEYS[8]
local K_dead = KEYS[9]
local K_tag = ARGV[2]
-- The starts of the ranges of due.
local K_HOLDS = 1e14
local K_REST = 3e14
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
-- Returns the record of an entry under way; nothing when it is not.
local function record_of(g, id)
  local found
  for at = 1, #g do
    found = g[at].id == id and g[at] or found
  end
  return found
end
local FRONT = 8192 -- bytes: the headers of a message are shorter, unless somebody adds long ones
local function open_group(group)
  local read_group_7
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_6
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_6 = texts[group]
      end
      local text = group_text_6
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
    read_group_7 = g
  end
  local g = read_group_7
  if g.corrupt then
    do -- mend_group(group, g)
      local group = group
      local found = false
      for id in string.gmatch(string.sub(g.text, g.corrupt), '%S+') do
        local read_entry_10, read_entry_11
        do -- read_entry(id)
          local read = nil
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
          read_entry_10, read_entry_11 = entry, corrupt
        end
        local entry, corrupt = read_entry_10, read_entry_11
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
        local state_text_1
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_1 = text
        end
        local text = state_text_1
        if other then
          local state_text_2
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_2 = text
          end
          local other_text = state_text_2
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
-- Returns whether a group has as many parked entries as it may have; most: nil: any number.
local function is_full(line, g, most)
  return most and redis_call('LLEN', line) - g.empty + g.aside >= most
end
local BELL = 5000 -- ms that a bell waits for a worker

local NAMES = 8 -- names that the entries of one task may have, see keys.py
local producer, wake, id, queue, cut, message = KEYS[10], KEYS[11], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local number, keep, replaces, most, many = ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[12])

-- The lines are read first: a foreign key of a line's name stops the script before any write.
local lists, out, groups, refused, place = { [queue] = KEYS[12 + many] }, {}, {}, nil, nil
for at = many, 1, -1 do
  groups[at] = ARGV[12 + at]
  local line, g = KEYS[11 + at], open_group(groups[at])
  local depth = redis_call('LLEN', line)
  local full = depth > 0 and is_full(line, g, most)
  if has_flag(g, 'd') or full then
    refused, place = has_flag(g, 'd') and -2 or -3, at
  end
end
local keep_number_20, keep_number_21, keep_number_22
do -- keep_number(producer, number, keep)
  local last = redis_call('SET', producer, number, 'PX', keep, 'GET')
  local repeated = last and (tonumber(last) or -1) >= (tonumber(number) or math.huge)
  local told
  if last and not (tonumber(last) and tonumber(number)) then
    local kept
    local look_up_17, look_up_18, look_up_19
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
      look_up_17, look_up_18, look_up_19 = repeated, told, number .. more
    end
    repeated, told, kept = look_up_17, look_up_18, look_up_19
    if not repeated and kept ~= number then
      redis_call('SET', producer, kept, 'PX', keep)
    end
  end
  if repeated then
    redis_call('SET', producer, last, 'PX', keep)
  end
  keep_number_20, keep_number_21, keep_number_22 = last, repeated, told
end
local last, repeated, told = keep_number_20, keep_number_21, keep_number_22
if told then
  local told_again_47
  do -- told_again(told)
    local words = told
    local reply = {}
    for word in string.gmatch(words, '[^|]+') do
      reply[#reply + 1] = #reply == 0 and tonumber(word) or word
    end
    told_again_47 = reply
  end
  local reply = told_again_47
  return { reply[1], tonumber(reply[2]) }
elseif repeated then
  do -- heads_again(lists, open_group(groups[1]), out)
    local g = open_group(groups[1])
    for _, r in ipairs(g) do
      do -- ask_again(lists, r, out)
        local read_entry_16
        do -- read_entry(r.id)
          local id, read = r.id, nil
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
          read_entry_16 = entry
        end
        local entry = read_entry_16
        if entry and r.state == 'w' and not lists[r.queue] then
          local compose_41
          do -- compose(r.id, entry, r.release, r.lost)
            local id, drawn, lost = r.id, r.release, r.lost
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
            local cut = entry.at + entry.cut
            compose_41 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_41
          out[#out + 1] = r.queue
          out[#out + 1] = message
        end
      end
    end
  end
  return { 2, unpack(out) }
end
local name = id
for _ = 2, replaces == '1' and NAMES or 1 do
  name = redis_call('HEXISTS', K_entries, name) == 1 and name .. ';r' or name
end
if redis_call('HEXISTS', K_entries, name) == 1 then
  refused, place = -1, nil
end
if refused then
  do -- restore_number(producer, last, keep, number, refused .. '|' .. (place or ''))
    local words = refused .. '|' .. (place or '')
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
  return { refused, place }
end

local us = K_us_text
for at = 1, many do
  local group, own, cuts, text = groups[at], name, cut .. limits_text(ARGV[11]), message
  if at > 1 then
    own, cuts, text = name .. ';k' .. at - 1, '0', groups[1] .. ' ' .. name
  end
  local g = open_group(group)
  redis_call('HSET', K_entries, own, us .. ' ' .. group .. ' ' .. queue .. ' ' .. cuts .. '\n' .. text)
  redis_call('RPUSH', KEYS[11 + at], us .. ' ' .. own)
  if not has_flag(g, 'k') then
    do -- add_mark(g, 'k')
      local letter = 'k'
      g.flags = (g.flags == '-' and '' or g.flags) .. letter
    end
  end
end
redis_call('HSET', K_begins, 'k ' .. name, table.concat(groups, ' ', 2))
redis_call('HINCRBY', K_stats, 'stand_ins', many - 1)
for at = many, 1, -1 do -- the entry itself comes last: it goes out when its stand-ins are heads
  local group = groups[at]
  local g = open_group(group)
  do -- write_group(group, g)
    local other, other_g = nil, nil
    local state_text_1
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_1 = text
    end
    local text = state_text_1
    if other then
      local state_text_2
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_2 = text
      end
      local other_text = state_text_2
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
  if #g == 0 or has_flag(g, 'n') then
    do -- advance(lists, KEYS[11 + at], group, g, out)
      local line, group = KEYS[11 + at], group
      local take_head_45, take_head_46
      do -- take_head(line, group, g)
        local group = group
        local head, entry, corrupt
        if g[1] then
          local take_follower_42, take_follower_43
          do -- take_follower(line, g)
            local head, entry
            local free = not has_flag(g, 'p')
            for _, r in ipairs(g) do
              free = free and r.stop == 'f'
            end
            while free and g[1] and not head do
              local read_entry_12, read_entry_13
              do -- read_entry(g[1].id)
                local id, read = g[1].id, nil
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
                read_entry_12, read_entry_13 = entry, corrupt
              end
              local found, corrupt = read_entry_12, read_entry_13
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
            take_follower_42, take_follower_43 = head, entry
          end
          head, entry = take_follower_42, take_follower_43
        end
        local others = #g
        local has_room_36
        do -- has_room(g)
          local room = not has_flag(g, 'p') and (#g == 0 or has_flag(g, 'n'))
          for at = 1, room and #g or 0 do
            room = room and g[at].state ~= 'w' and g[at].stop == '-'
          end
          has_room_36 = room
        end
        local is_free = has_room_36
        is_free = is_free and not head
        local item = is_free and steps > 0 and redis_call('LPOP', line)
        while item do
          local id = string.sub(item, 18)
          local read_entry_14, read_entry_15
          do -- read_entry(id)
            local read = nil
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
            read_entry_14, read_entry_15 = entry, corrupt
          end
          entry, corrupt = read_entry_14, read_entry_15
          local stands, left = entry and entry.us == string.sub(item, 1, 16), false
          if stands and has_flag(g, 'k') then
            local is_left_behind_44
            do -- is_left_behind(id)
              local stands_for_33, stands_for_34
              do -- stands_for(id)
                local of, name
                if string.find(id, ';k', 1, true) then
                  of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                end
                stands_for_33, stands_for_34 = of, name
              end
              local _, name = stands_for_33, stands_for_34
              local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
              is_left_behind_44 = name and not said or said == '!'
            end
            left = is_left_behind_44
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
              local may_join_37
              do -- may_join(group, g, entry, others)
                local limits_of_29
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
                  limits_of_29 = limits
                end
                local limits = limits_of_29
                may_join_37 = (limits.together or 1) > others
              end
              fits = may_join_37
            end
            if not fits then
              redis_call('LPUSH', line, item)
            else
              local new_record_8
              do -- new_record(id, entry.queue)
                local queue = entry.queue
                new_record_8 = {
                  state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
                  call = '-', queue = queue,
                }
              end
              head = new_record_8
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
                  local state_text_1
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_1 = text
                  end
                  local text = state_text_1
                  if other then
                    local state_text_2
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_2 = text
                    end
                    local other_text = state_text_2
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
          local depth_of_9
          do -- depth_of(line, g)
            depth_of_9 = redis_call('LLEN', line) - g.empty + g.aside + #g
          end
          local depth = depth_of_9
          g.drained = depth <= 0
        end
        take_head_45, take_head_46 = head, entry
      end
      local head, entry = take_head_45, take_head_46
      if head then
        do -- release(lists, group, g, head, entry, out)
          local r = head
          local held
          if entry.limits ~= '' or g.flags ~= '-' then
            local hold_back_38
            do -- hold_back(group, g, r, entry)
              local limits_of_30
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
                limits_of_30 = limits
              end
              local limits = limits_of_30
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
                local counted_begins_26, counted_begins_27, counted_begins_28
                do -- counted_begins(group)
                  local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                  local begins = {}
                  for ms in string.gmatch(times or '', '%d+') do
                    begins[#begins + 1] = tonumber(ms)
                  end
                  counted_begins_26, counted_begins_27, counted_begins_28 = begins, tonumber(starts or 0), tonumber(window or 0)
                end
                local begins, starts, window = counted_begins_26, counted_begins_27, counted_begins_28
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
                local await_places_35
                do -- await_places(r, entry)
                  local stands_for_31, stands_for_32
                  do -- stands_for(r.id)
                    local id = r.id
                    local of, name
                    if string.find(id, ';k', 1, true) then
                      of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                    end
                    stands_for_31, stands_for_32 = of, name
                  end
                  local of, name = stands_for_31, stands_for_32
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
                  await_places_35 = free_at
                end
                awaits = await_places_35
              end
              hold_back_38 = free_at or awaits
            end
            held = hold_back_38
            if not held then
              local take_turn_39
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
                    local draw_number_4
                    do -- draw_number()
                      local drawn = K_us_text
                      local last = redis_call('SET', K_fence, drawn, 'GET')
                      if last and last >= drawn then -- both have 16 digits
                        drawn = string.format('%.0f', last + 1)
                        redis_call('SET', K_fence, drawn)
                      end
                      draw_number_4 = drawn
                    end
                    local number = draw_number_4
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
                take_turn_39 = waits
              end
              held = take_turn_39
            end
          end
          if held then
            do -- write_group(group, g)
              local other, other_g = nil, nil
              local state_text_1
              do -- state_text(g)
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_1 = text
              end
              local text = state_text_1
              if other then
                local state_text_2
                do -- state_text(other_g)
                  local g = other_g
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_2 = text
                end
                local other_text = state_text_2
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
                drawn = draw_number_5
              end
              r.state, r.release, r.fence, r.since, r.queue = 'w', drawn, '-', K_ms_text, queue
              r.owner, r.call, r.due, r.stop = '-', '-', '-', '-'
              do -- write_group(group, g, other, other_g)
                local state_text_1
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_1 = text
                end
                local text = state_text_1
                if other then
                  local state_text_2
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_2 = text
                  end
                  local other_text = state_text_2
                  redis_call('HSET', K_groups, group, text, other, other_text)
                else
                  redis_call('HSET', K_groups, group, text)
                end
              end
              local compose_40
              do -- compose(r.id, entry, drawn, r.lost)
                local id, lost = r.id, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                local cut = entry.at + entry.cut
                compose_40 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_40
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
                local counted_begins_23, counted_begins_24, counted_begins_25
                do -- counted_begins(group)
                  local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                  local begins = {}
                  for ms in string.gmatch(times or '', '%d+') do
                    begins[#begins + 1] = tonumber(ms)
                  end
                  counted_begins_23, counted_begins_24, counted_begins_25 = begins, tonumber(starts or 0), tonumber(window or 0)
                end
                local _, _, window = counted_begins_23, counted_begins_24, counted_begins_25
                redis_call('ZADD', K_due, K_REST + now_ms() + window, 't ' .. group)
              end
            end
          else
            do -- write_group(group, g)
              local other, other_g = nil, nil
              local state_text_1
              do -- state_text(g)
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_1 = text
              end
              local text = state_text_1
              if other then
                local state_text_2
                do -- state_text(other_g)
                  local g = other_g
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_2 = text
                end
                local other_text = state_text_2
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
local r = record_of(open_group(groups[1]), name)
if steps == 0 or r and r.stop == 'l' then -- no worker knows of it
  do -- ring(wake)
    redis_call('LPUSH', wake, K_us_text)
    redis_call('LTRIM', wake, 0, 0)
    redis_call('PEXPIRE', wake, BELL)
  end
end
return { 1, unpack(out) }
