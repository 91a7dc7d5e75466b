-- Made of lua/begin.lua by `make scripts`: change that file, not this one.
--
-- begin: let a worker that received a ticket run its task, with a new fence.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] runs   (hash)    of the worker, see lib/run.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] id      (text)
-- ARGV[4] group   (text)
-- ARGV[5] drawn   (number)  of the ticket's release
-- ARGV[6] owner   (text)    the worker
-- ARGV[7] lane    (number)  of the worker; no other run is in it
-- ARGV[8] call    (text)    this call's own name
-- ARGV[9] ttl     (ms)      of the worker's lease
-- Returns {1, fence, [member]} begun, by this call, now or before · {5, ...} the same, and advance may let another
--         entry of the group go on beside it · {0} the ticket is stale. member: of due, with which advance lets the
--         tenant's next head go out
-- Complexity O(log due)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_on_the_way = KEYS[5]
local K_begins = KEYS[6]
local K_fence = KEYS[7]
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
-- Returns the record of an entry under way; nothing when it is not.
local function record_of(g, id)
  local found
  for at = 1, #g do
    found = g[at].id == id and g[at] or found
  end
  return found
end
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}
local FRONT = 8192 -- bytes: the headers of a message are shorter, unless somebody adds long ones
local function open_group(group)
  local read_group_6
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_5
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_5 = texts[group]
      end
      local text = group_text_5
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
    read_group_6 = g
  end
  local g = read_group_6
  if g.corrupt then
    do -- mend_group(group, g)
      local group = group
      local found = false
      for id in string.gmatch(string.sub(g.text, g.corrupt), '%S+') do
        local read_entry_7, read_entry_8
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
          read_entry_7, read_entry_8 = entry, corrupt
        end
        local entry, corrupt = read_entry_7, read_entry_8
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
        local state_text_3
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_3 = text
        end
        local text = state_text_3
        if other then
          local state_text_4
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_4 = text
          end
          local other_text = state_text_4
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
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
local OUT, ROW = '\127o ', '\127w '
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
-- Let advance look for it: by the worker, or else by a sweep. Returns 4 as part of an answer's code, or 0.
local function invite(group, g)
  local code = 0
  if has_flag(g, 'n') then
    redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
    code = 4
  end
  return code
end

local runs, id, group, drawn = KEYS[10], ARGV[3], ARGV[4], ARGV[5]
local owner, lane, call, ttl = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])

local g = open_group(group)
local begin_run_9
do -- begin_run(group, g, id, drawn, owner, call, true)
  local drawn, noted = drawn, true
  local r, fence = record_of(g, id), nil
  if r and r.release == drawn and r.state == 'w' then
    redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. drawn .. ' ' .. group)
    local begun = noted and r.lost == '0' and (string.match(redis_call('HGET', K_begins, r.queue) or '', '^%d+') or '0')
    if begun and tonumber(begun) < tonumber(drawn) then
      redis_call('HSET', K_begins, r.queue, drawn .. ' ' .. K_ms_text)
    end
    if has_flag(g, 'f') then
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
    end
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
    fence = draw_number_2
    do -- start_run(r, fence, owner, call)
      r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
    end
  end
  begin_run_9 = fence
end
local fence = begin_run_9
if fence then
  do -- write_group(group, g)
    local other, other_g = nil, nil
    local state_text_3
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_3 = text
    end
    local text = state_text_3
    if other then
      local state_text_4
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_4 = text
      end
      local other_text = state_text_4
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
  redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
  do -- keep_forgotten(runs, lane, owner)
    local said = redis_call('HGET', runs, lane)
    local call, group, id = string.match(said or '', '^(%S+) (%S+) (%S+) ')
    local other = call and group .. id ~= '--' and record_of(open_group(group), id)
    if other and other.state == 'r' and other.owner == owner and other.call == call then
      redis_call('HSET', runs, lane .. K_us_text, said)
    end
  end
  do -- keep_lane(runs, lane, call .. ' ' .. group .. ' ' .. id .. ' -', owner, ttl)
    local said = call .. ' ' .. group .. ' ' .. id .. ' -'
    if redis_call('HSET', runs, lane, said) == 1 then
      redis_call('PERSIST', runs)
      redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
    end
  end
  do -- look_now()
    if freed then
      redis_call('ZADD', K_due, K_REST + now_ms(), 'f ' .. freed)
    end
  end
  return { 1 + invite(group, g), fence, freed and 'f ' .. freed }
end
local r = record_of(g, id)
if r and r.release == drawn and r.state == 'r' and r.owner == owner and r.call == call then
  if has_flag(g, 'f') then
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
  end
  do -- look_now()
    if freed then
      redis_call('ZADD', K_due, K_REST + now_ms(), 'f ' .. freed)
    end
  end
  return { 1 + invite(group, g), r.fence, freed and 'f ' .. freed }
end
return { 0 }
