-- Made of lua/retry.lua by `make scripts`: change that file, not this one.
--
-- retry: release a waiting or blocked head now.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] audit  (list)  the actions of operators, newest first
-- KEYS[11] answer (string) of this action's last call
-- ARGV[1-2]       clock, tag
-- ARGV[3] note    (text)  for the audit
-- ARGV[4] call    (number) of this action, from 1
-- ARGV[5] group   (text)
-- Returns {1, [queue, message]...} released; to publish · {-1} no head is held · {-2} the group is paused
-- Complexity O(under way · log due)
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
local soon = false -- a sweep has something to do now
local FAR = 3600000 -- ms: no time says when a task has its other places
local OUT, ROW = '\127o ', '\127w '
local LOOK = 10000 -- ms until a sweep looks at a tenant's row that nothing has moved; all rows at the same time
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local REDELIVERED = '"redelivered": true, '
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end
local KEPT = 1000 -- actions that are remembered
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
-- Returns whether an entry of a group has failed, and blocks it.
local function is_blocked(g)
  local found = false
  for _, r in ipairs(g) do
    found = found or r.stop == 'b'
  end
  return found
end

local audit, group = KEYS[10], ARGV[5]

local g = open_group(group)
local paused, out, held, stopped = has_flag(g, 'p'), {}, 0, 0
if not paused and is_blocked(g) then
  do -- clear_flag(group, g, 'b')
    local letter = 'b'
    redis_call('HDEL', K_flags, letter .. ' ' .. group)
    do -- drop_mark(g, letter)
      g.flags = string.gsub(g.flags, letter, '', 1)
      g.flags = g.flags == '' and '-' or g.flags
    end
  end
end
for at = #g, 1, -1 do
  local r = g[at]
  if r.state == 'h' and (r.stop == 'p' or paused) then
    stopped = stopped + 1
  elseif r.state == 'h' and r.stop ~= 'f' and r.stop ~= 's' then
    held = held + 1
    redis_call('ZREM', K_due, 'h ' .. group .. ' ' .. r.id, 'b ' .. group .. ' ' .. r.id)
    if r.stop == 'b' then -- it may be lost as often as any other
      r.lost = '0'
    end
    if r.stop == 'l' then
      do -- forget_eta(r.id)
        local id = r.id
        local read_entry_10
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
          read_entry_10 = entry
        end
        local e = read_entry_10
        if e then
          local words = string.gsub(e.limits, '( l%d+/%d+/%d+)/%d+', '%1')
          local first = table.concat({ e.us, e.group, e.queue, digits(e.cut) }, ' ') .. words
          redis_call('HSET', K_entries, id, first .. '\n' .. string.sub(e.text, e.at))
        end
      end
    end
    if r.stop == 't' then -- as if it were its turn
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
      r.state = 'w'
    end
    r.due, r.stop = '-', '-'
    if at > 1 and not has_flag(g, 'n') then -- calls of one batch have failed: they go out one after the other
      r.stop = 'f'
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
      do -- resume({}, group, g, r, out)
        local lists, group, again = {}, group, nil
        do -- free_group(group)
          redis_call('HDEL', K_groups, group)
        end
        if again and r.due == '-' then
          do -- mark_redelivered(r.id)
            local id = r.id
            local read_entry_11
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
              read_entry_11 = entry
            end
            local e = read_entry_11
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
          if not stopped then
            redis_call('ZADD', K_due, K_HOLDS + r.due, 'h ' .. group .. ' ' .. r.id)
          end
        else
          local read_entry_12, read_entry_13
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
            read_entry_12, read_entry_13 = entry, corrupt
          end
          local entry, corrupt = read_entry_12, read_entry_13
          local left = false
          if entry and has_flag(g, 'k') then
            local is_left_behind_26
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
              is_left_behind_26 = name and not said or said == '!'
            end
            left = is_left_behind_26
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
                    take_turn_24 = waits
                  end
                  held = take_turn_24
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
      end
    end
  end
end
if held == 0 then
  return { stopped > 0 and -2 or -1 }
end
do -- note(audit, ARGV[3])
  local text = ARGV[3]
  if text ~= '' then
    redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
    redis_call('LTRIM', audit, 0, KEPT - 1)
  end
end
local keep_answer_27
do -- keep_answer({ 1, unpack(out) })
  local reply = { 1, unpack(out) }
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_27 = reply
end
return keep_answer_27
