-- Made of lua/pause.lua by `make scripts`: change that file, not this one.
--
-- pause: let no entry of the group start until it is resumed. A running one goes on; a released or held one stays at
-- the head.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] audit   (list)  the actions of operators, newest first
-- KEYS[11] answer  (string) of this action's last call
-- KEYS[12] paused  (zset)  paused group -> since (ms)
-- KEYS[13] wake    (list)  wakes one sweeping worker: a tenant's next head may go out
-- ARGV[1-2]        clock, tag
-- ARGV[3] note     (text)  for the audit
-- ARGV[4] call     (number) of this action, from 1
-- ARGV[5] group    (text)
-- ARGV[6] flag     (text)  operator and reason: JSON, open for the time
-- Returns {1} paused · {2} it was already; reason and operator are replaced
-- Complexity O(under way)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_flags = KEYS[4]
local K_on_the_way = KEYS[5]
local K_stats = KEYS[8]
local K_dead = KEYS[9]
-- The starts of the ranges of due.
local K_REST = 3e14
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
local K_ms_text = string.sub(K_us_text, 1, 13)
local function now_ms()
  return tonumber(K_ms_text)
end
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
-- Returns whether the flag is new.
local function set_flag(group, g, letter, said)
  local new = redis_call('HSET', K_flags, letter .. ' ' .. group, said) == 1 or not has_flag(g, letter)
  if not has_flag(g, letter) then
    do -- add_mark(g, letter)
      g.flags = (g.flags == '-' and '' or g.flags) .. letter
    end
  end
  return new
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
              local digits_1
              do -- digits(math.max(newest + 1, tonumber(K_us_text)))
                local value = math.max(newest + 1, tonumber(K_us_text))
                digits_1 = string.format('%.0f', value)
              end
              local number = digits_1
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
            local digits_1
            do -- digits(math.max(newest + 1, tonumber(K_us_text)))
              local value = math.max(newest + 1, tonumber(K_us_text))
              digits_1 = string.format('%.0f', value)
            end
            local number = digits_1
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
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end
local KEPT = 1000 -- actions that are remembered
-- Close the JSON of a flag with the time.
local function stamped(flag)
  return flag .. '"at_ms": ' .. K_ms_text .. '}'
end
local OUT, ROW = '\127o ', '\127w '
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
local BELL = 5000 -- ms that a bell waits for a worker

local audit, paused, wake = KEYS[10], KEYS[12], KEYS[13]
local group, flag = ARGV[5], ARGV[6]

local g = open_group(group)
local new = set_flag(group, g, 'p', stamped(flag)) and 1 or 0
redis_call('ZADD', paused, now_ms(), group)
for _, r in ipairs(g) do
  do -- call_in(group, g, r)
    if has_flag(g, 'f') and (r.state == 'w' or r.stop == 't') then
      do -- leave_turn(group, r)
        local text = redis_call('HGET', K_entries, r.id)
        local fair = string.match(text or '', '^%d+ %S+ %S+ %d+ f%d+/(%S+)')
        if fair then
          local of = r.queue .. ' ' .. fair
          local mine = of .. ' ' .. r.release .. ' ' .. group .. ' ' .. r.id
          redis_call('ZREM', K_on_the_way, OUT .. mine, ROW .. mine)
          freed = redis_call('ZSCORE', K_due, 'f ' .. of) and of or freed
        end
      end
      do -- look_now()
        if freed then
          redis_call('ZADD', K_due, K_REST + now_ms(), 'f ' .. freed)
        end
      end
    end
    if r.state == 'w' then
      redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
      redis_call('ZREM', K_due, 'r ' .. group .. ' ' .. r.id)
      r.state, r.since = 'h', K_ms_text
    end
    if has_flag(g, 'k') then
      do -- call_back(r.id)
        local id = r.id
        local stands_for_9, stands_for_10
        do -- stands_for(id)
          local of, name
          if string.find(id, ';k', 1, true) then
            of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
          end
          stands_for_9, stands_for_10 = of, name
        end
        local of, name = stands_for_9, stands_for_10
        local g = of and open_group(of)
        local r = g and record_of(g, name)
        if r and r.state == 'w' then
          redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. of)
          redis_call('ZREM', K_due, 'r ' .. of .. ' ' .. name)
          r.state, r.stop, r.since = 'h', 's', K_ms_text
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
        end
      end
    end
    redis_call('ZREM', K_due, 'h ' .. group .. ' ' .. r.id)
  end
  r.due = r.stop == 'l' and '-' or r.due -- its group's rate is asked again
  r.stop = (r.stop == 'b' or r.stop == 'f') and r.stop or 'p'
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
if freed then
  do -- ring(wake)
    redis_call('LPUSH', wake, K_us_text)
    redis_call('LTRIM', wake, 0, 0)
    redis_call('PEXPIRE', wake, BELL)
  end
end
do -- note(audit, ARGV[3])
  local text = ARGV[3]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
local keep_answer_8
do -- keep_answer({ 2 - new })
  local reply = { 2 - new }
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_8 = reply
end
return keep_answer_8
