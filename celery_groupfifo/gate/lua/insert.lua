-- Made of lua/insert.lua by `make scripts`: change that file, not this one.
--
-- insert: let the next part of a run's canvas take the place directly behind that run, before the whole line. Further
-- parts of the same run join behind the one before, in the order in which they were sent.
--
-- Nothing goes out here: the run is under way, and its end releases the part. A part is no new task, so a group that is
-- full or drains takes it.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] line      (list)    of the group
-- KEYS[11] producer  (string)  "<last number> <place>" of this run: the part that it has sent last
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)    of the part and of the run
-- ARGV[5]  queue     (text)
-- ARGV[6]  cut       (bytes)   where the message's second ticket goes
-- ARGV[7]  message   (bytes)
-- ARGV[8]  number    (count)   of this run's parts, from 1
-- ARGV[9]  keep      (ms)      how long the last part is remembered
-- ARGV[10] run       (text)    the entry that is under way
-- ARGV[11] limits    (text)    of the part, see lib/limits.lua; empty: none
-- Returns {1} it stands there, by this call, now or before, or by an earlier run of the same task · {0} nothing was
--         done: the run has ended, or the id has another place. The caller parks it.
-- Complexity O(1) for one part, O(parts) where earlier ones of the same run are in line
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_stats = KEYS[8]
local K_dead = KEYS[9]
-- The starts of the ranges of due.
local K_REST = 3e14
-- Returns the record of an entry under way; nothing when it is not.
local function record_of(g, id)
  local found
  for at = 1, #g do
    found = g[at].id == id and g[at] or found
  end
  return found
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
-- Limits in the words of a call: "/+" and the ms until its ETA, at their end, is due at a time. Returns them with a
-- blank before, as an entry has them; empty when there are none.
local function limits_text(said)
  local limits, delay = string.match(said or '', '^(.*)/%+(%d+)$')
  limits = limits and limits .. '/' .. digits(now_ms() + delay) or said or ''
  return limits == '' and '' or ' ' .. limits
end

local line, producer = KEYS[10], KEYS[11]
local id, group, queue, cut, message = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local number, keep, run = ARGV[8], ARGV[9], ARGV[10]

local last, before = string.match(redis_call('GET', producer) or '', '^(%d+) (%S+ %S+)$')
if last and tonumber(last) >= tonumber(number) then
  return { 1 } -- the reply was lost
end
local open_group_10
do -- open_group(group)
  local group = group
  local read_group_3
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_2
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_2 = texts[group]
      end
      local text = group_text_2
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
    read_group_3 = g
  end
  local g = read_group_3
  if g.corrupt then
    do -- mend_group(group, g)
      local group = group
      local found = false
      for id in string.gmatch(string.sub(g.text, g.corrupt), '%S+') do
        local read_entry_6, read_entry_7
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
          read_entry_6, read_entry_7 = entry, corrupt
        end
        local entry, corrupt = read_entry_6, read_entry_7
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
        local state_text_4
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_4 = text
        end
        local text = state_text_4
        if other then
          local state_text_5
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_5 = text
          end
          local other_text = state_text_5
          redis_call('HSET', K_groups, group, text, other, other_text)
        else
          redis_call('HSET', K_groups, group, text)
        end
      end
      redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
    end
  end
  open_group_10 = g
end
local g = open_group_10
local read_entry_8, read_entry_9
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
  read_entry_8, read_entry_9 = entry, corrupt
end
local entry, corrupt = read_entry_8, read_entry_9
local elsewhere = corrupt or entry and (entry.group ~= group or record_of(g, id))
if elsewhere or not record_of(g, run) then
  return { 0 }
end
-- Timeline of one that is known: a run sends it, its worker is lost, the task runs again and sends it again.
local place = (entry and entry.us or K_us_text) .. ' ' .. id
if not entry then
  -- The place is written first: a foreign key of the line's name stops the script before any other write.
  if not before or redis_call('LINSERT', line, 'AFTER', before, place) < 1 then
    redis_call('LPUSH', line, place)
  end
  local head = table.concat({ K_us_text, group, queue, cut }, ' ') .. limits_text(ARGV[11])
  redis_call('HSET', K_entries, id, head .. '\n' .. message)
end
redis_call('SET', producer, number .. ' ' .. place, 'PX', keep)
return { 1 }
