-- Made of lua/finish.lua by `make scripts`: change that file, not this one.
--
-- finish: end a run whose execution is over. In one step, the group's next head is released, and the worker takes its
-- next task.
--
-- KEYS[1-9]            the gate's own, see lib/keys.lua
-- KEYS[10] line        (list)  of the group
-- KEYS[11] runs        (hash)  of the worker, see lib/run.lua
-- KEYS[12-] lists      (list)  the broker's lists that the worker consumes, in its order
-- ARGV[1-2]            clock, tag
-- ARGV[3]  id          (text)
-- ARGV[4]  group       (text)
-- ARGV[5]  fence       (number)
-- ARGV[6]  owner       (text)
-- ARGV[7]  lane        (number) of the run, and of the one that is taken
-- ARGV[8]  call        (text)  this call's own name
-- ARGV[9]  ttl         (ms)    of the worker's lease
-- ARGV[10] extends     (0 | 1) the lease: its last renewal is some time ago
-- ARGV[11] take        (text)  lists: the next ticket of the lists · own: the group's next head · none
-- ARGV[12] release     (number) of the run's ticket
-- ARGV[13] losses      (count) as the ticket says
-- ARGV[14] named       (count) lists
-- ARGV[15-] queues     (text)  their names
-- ARGV[..] queue, cut, message, delay  of the run's continuation (retry, replace), when it has one; see park.lua
-- ARGV[..] rejoins     (1)     when the continuation gives up its place: it joins the tail of its line when it is due
-- Returns {code, taken, fence, due, [queue, message]...}: code 1 finished · 0 stale, nothing was done; the message
--         taken and its run's fence, or '' and 0; ms until the continuation is due, or -1; to publish
-- Complexity O(log on_the_way)
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
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}
local function group_text(group)
  texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
  return texts[group]
end
-- Returns the group, with its records; `corrupt` is where its text can't be read. One table for each group.
local function read_group(group)
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
  return g
end
local FRONT = 8192 -- bytes: the headers of a message are shorter, unless somebody adds long ones
-- Returns the entry; nothing when there is none, and its text when it can't be read.
local function read_entry(id)
  local text = redis_call('HGET', K_entries, id)
  local group, queue, cut, at = string.match(text or '', '^ (%S+) (%S+) (%d+)\n()', 17)
  local entry, corrupt
  if group then
    entry = { us = string.sub(text, 1, 16), group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
  elseif text then
    corrupt = text
  end
  return entry, corrupt
end
local function open_group(group)
  local g = read_group(group)
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
        local state_text_8
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_8 = text
        end
        local text = state_text_8
        if other then
          local state_text_9
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_9 = text
          end
          local other_text = state_text_9
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
local function open_ordinary(group, state, id, drawn, fence, lost)
  local read_ordinary_12
  do -- read_ordinary(group, state, id, drawn, fence, lost)
    local state, id, drawn, fence, lost = state, id, drawn, fence, lost
    local text = not groups[group] and group_text(group)
    local said = '- 0 0\n' .. state .. ' ' .. id .. ' ' .. drawn .. ' ' .. fence .. ' - - ' .. lost .. ' '
    if text and string.sub(text, 1, #said) == said and not string.find(text, '\n', #said, true) then
      local queue = string.sub(text, #said + 19) -- of a released one: behind its time, and no owner and call
      local r = {
        state = state, id = id, release = drawn, fence = fence, due = '-', stop = '-', lost = lost, since = '-',
        owner = '-', call = '-', queue = queue,
      }
      groups[group] = { r, flags = '-', aside = '0', empty = '0', text = text }
    end
    read_ordinary_12 = groups[group] or read_group(group)
  end
  local g = read_ordinary_12
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
        local state_text_8
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_8 = text
        end
        local text = state_text_8
        if other then
          local state_text_9
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_9 = text
          end
          local other_text = state_text_9
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
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local function compose(id, entry, drawn, lost)
  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
  local cut = entry.at + entry.cut
  return TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
end
local REDELIVERED = '"redelivered": true, '
local steps = 100 -- empty places that one call may walk over
-- Returns the number of a group's entries.
local function depth_of(line, g)
  return redis_call('LLEN', line) - g.empty + g.aside + #g
end
local STALE = 20 -- stale tickets that one call may drop
local OWN = true

local line, runs = KEYS[10], KEYS[11]
local id, group, fence, owner, lane = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local call, ttl, extends, take, named = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11], tonumber(ARGV[14])

local after = 15 + named -- the continuation
local named_lists_23
do -- named_lists(12, 15, named)
  local key, arg, count = 12, 15, named
  local lists = {}
  for i = 0, count - 1 do
    lists[ARGV[arg + i]] = KEYS[key + i]
  end
  named_lists_23 = lists
end
local lists = named_lists_23
local out, ordinary = {}, not ARGV[after]
local g = ordinary and open_ordinary(group, 'r', id, ARGV[12], fence, ARGV[13]) or open_group(group)
local running_29
do -- running(g, id, fence)
  local r = record_of(g, id)
  running_29 = r and r.state == 'r' and r.fence == fence and r or nil
end
local r = running_29
if not r then
  local lane_words_24, lane_words_25, lane_words_26, lane_words_27
  do -- lane_words(runs, lane)
    local said = redis_call('HGET', runs, lane) or redis_call('HGET', runs, 'a' .. lane)
    local call, group, id, due = string.match(said or '', '^(%S+) (%S+) (%S+) (%S+)$')
    lane_words_24, lane_words_25, lane_words_26, lane_words_27 = call, group, id, due
  end
  local before, of, taken, at = lane_words_24, lane_words_25, lane_words_26, lane_words_27
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due = at ~= '-' and math.max(tonumber(at) - now_ms(), 0) or -1
  local taken_again_37, taken_again_38
  do -- taken_again(of, taken, owner, call)
    local group, id = of, taken
    local r, entry = record_of(open_group(group), id), read_entry(id)
    local message, begun = '', 0
    if r and entry and r.state == 'r' and r.owner == owner and r.call == call then
      message, begun = compose(id, entry, r.release, r.lost), r.fence
    end
    taken_again_37, taken_again_38 = message, begun
  end
  local message, begun = taken_again_37, taken_again_38
  do -- heads_again(lists, g, out)
    for _, r in ipairs(g) do
      do -- ask_again(lists, r, out)
        local entry = read_entry(r.id)
        if entry and r.state == 'w' and not lists[r.queue] then
          local message = compose(r.id, entry, r.release, r.lost)
          out[#out + 1] = r.queue
          out[#out + 1] = message
        end
      end
    end
  end
  return { 1, message, begun, due, unpack(out) } -- a repetition of this call
end

local due, due_text, taken, message, begun, of, other, head, entry = -1, '-', nil, nil, nil, nil, nil, nil, nil
if r.due ~= '-' or ARGV[after] then
  local take_continuation_39
  do -- take_continuation(group, r, after)
    local arg = after
    do -- free_group(group)
      redis_call('HDEL', K_groups, group)
    end
    redis_call('HINCRBY', K_stats, 'runs_continued', 1)
    if ARGV[arg] then
      do -- store_continuation(group, r, ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3])
        local queue, cut, message, delay = ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3]
        local parked = string.match(redis_call('HGET', K_entries, r.id) or '', '^%d+') or K_us_text
        redis_call('HSET', K_entries, r.id, table.concat({ parked, group, queue, cut }, ' ') .. '\n' .. message)
        local digits_3
        do -- digits(now_ms() + delay)
          local value = now_ms() + delay
          digits_3 = string.format('%.0f', value)
        end
        r.due = digits_3
      end
      redis_call('HINCRBY', K_stats, 'tasks_held', 1)
    end
    take_continuation_39 = math.max(tonumber(r.due) - now_ms(), 0)
  end
  due = take_continuation_39
  local digits_4
  do -- digits(now_ms() + due)
    local value = now_ms() + due
    digits_4 = string.format('%.0f', value)
  end
  due_text = digits_4
else
  -- The first write frees memory: a full Redis refuses others, but nothing that follows it.
  redis_call('HDEL', K_entries, id)
  redis_call('HINCRBY', K_stats, 'tasks_finished', 1)
end
if due >= 0 and not ARGV[after + 4] then
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
            e.us, ' ', e.group, ' ', e.queue, ' ', string.format('%.0f', e.cut + #REDELIVERED), '\n',
            REDELIVERED, string.sub(e.text, e.at, e.at + e.cut - 1), REDELIVERED, string.sub(e.text, e.at + e.cut),
          }))
        end
      end
    end
    if r.stop ~= '-' or (r.due ~= '-' and tonumber(r.due) > now_ms()) then
      r.state, r.owner, r.call, r.since = 'h', '-', '-', K_ms_text
      do -- write_group(group, g)
        local other, other_g = nil, nil
        local state_text_8
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_8 = text
        end
        local text = state_text_8
        if other then
          local state_text_9
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_9 = text
          end
          local other_text = state_text_9
          redis_call('HSET', K_groups, group, text, other, other_text)
        else
          redis_call('HSET', K_groups, group, text)
        end
      end
      if r.stop == '-' then
        redis_call('ZADD', K_due, K_HOLDS + r.due, 'h ' .. group .. ' ' .. r.id)
      end
    else
      local entry, corrupt = read_entry(r.id)
      if entry then
        do -- release(lists, group, g, r, entry, out)
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
            local state_text_8
            do -- state_text(g)
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_8 = text
            end
            local text = state_text_8
            if other then
              local state_text_9
              do -- state_text(other_g)
                local g = other_g
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_9 = text
              end
              local other_text = state_text_9
              redis_call('HSET', K_groups, group, text, other, other_text)
            else
              redis_call('HSET', K_groups, group, text)
            end
          end
          local message = compose(r.id, entry, drawn, r.lost)
          redis_call('ZADD', K_on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. group)
          local pushed = lists[queue] and (r.lost == '0' and redis.pcall('LPUSH', lists[queue], message)
            or redis.pcall('RPUSH', lists[queue], message))
          if type(pushed) == 'table' and not string.find(pushed.err, 'WRONGTYPE', 1, true) then
            error(pushed.err)
          elseif type(pushed) ~= 'number' then -- the caller gave no such list, or the key is no list
            out[#out + 1] = queue
            out[#out + 1] = message
          end
        end
      else
        do -- set_aside(r.id, group, corrupt and 'corrupt' or 'missing', corrupt)
          local id, why, text = r.id, corrupt and 'corrupt' or 'missing', corrupt
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
          local state_text_8
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_8 = text
          end
          local text = state_text_8
          if other then
            local state_text_9
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_9 = text
            end
            local other_text = state_text_9
            redis_call('HSET', K_groups, group, text, other, other_text)
          else
            redis_call('HSET', K_groups, group, text)
          end
        end
        redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
      end
    end
  end
else
  if due >= 0 then
    do -- rejoin(line, group, g, r, due)
      local delay = due
      if delay > 0 then
        redis_call('ZADD', K_due, K_ETAS + r.due, 'e ' .. group .. ' ' .. r.id)
        do -- add_to(g, 'aside', 1)
          local what, number = 'aside', 1
          g[what] = string.format('%.0f', math.max(g[what] + number, 0))
        end
      else
        redis_call('RPUSH', line, string.match(redis_call('HGET', K_entries, r.id), '^%d+') .. ' ' .. r.id)
      end
    end
  elseif g.flags ~= '-' then
    do -- drop_mark(g, 'o')
      local letter = 'o'
      g.flags = string.gsub(g.flags, letter, '', 1)
      g.flags = g.flags == '' and '-' or g.flags
    end
    do -- free_identity(id, group, g, true)
      local ran = true
      local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
      local after, identity = string.match(said or '', '^(%d+) (.*)$')
      if identity then
        local field = 'i ' .. group .. ' ' .. identity
        local others_of_21
        do -- others_of(field, id)
          local others = ''
          local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
          for name in string.gmatch(names or '', '%S+') do
            others = others .. (name == id and '' or ' ' .. name)
          end
          others_of_21 = others
        end
        local others = others_of_21
        redis_call('HDEL', K_identities, 'n ' .. id)
        if others ~= '' then
          redis_call('HSET', K_identities, field, '-' .. others)
        elseif ran and after ~= '0' then
          local digits_2
          do -- digits(now_ms() + after)
            local value = now_ms() + after
            digits_2 = string.format('%.0f', value)
          end
          local till = digits_2
          redis_call('HSET', K_identities, field, till .. ' ' .. id)
          redis_call('ZADD', K_due, K_REST + till, field)
        else
          redis_call('HDEL', K_identities, field)
        end
      end
    end
  end
  do -- remove_record(g, id)
    for at = #g, 1, -1 do
      if g[at].id == id then
        table.remove(g, at)
      end
    end
  end
  local take_head_30, take_head_31
  do -- take_head(line, group, g)
    local head, entry, corrupt
    local is_free = #g == 0 and not has_flag(g, 'p')
    local item = is_free and steps > 0 and redis_call('LPOP', line)
    while item do
      local id = string.sub(item, 18)
      entry, corrupt = read_entry(id)
      if entry and entry.us == string.sub(item, 1, 16) then
        local new_record_10
        do -- new_record(id, entry.queue)
          local queue = entry.queue
          new_record_10 = {
            state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
            call = '-', queue = queue,
          }
        end
        head = new_record_10
        g[1] = head
        break
      elseif corrupt then
        do -- set_aside(id, group, 'corrupt', corrupt)
          local why, text = 'corrupt', corrupt
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
    g.ended = is_free and not item and steps > 0 and g.aside == '0'
    g.drained = not head and has_flag(g, 'd') and depth_of(line, g) <= 0
    take_head_30, take_head_31 = head, entry
  end
  head, entry = take_head_30, take_head_31
  if not head then
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
      if g.ended and (g.flags == '-' or not string.find(g.flags, '[^oi]')) then -- marks that end with its last entry
        redis_call('HDEL', K_groups, group)
      else
        do -- write_group(group, g)
          local other, other_g = nil, nil
          local state_text_8
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_8 = text
          end
          local text = state_text_8
          if other then
            local state_text_9
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_9 = text
            end
            local other_text = state_text_9
            redis_call('HSET', K_groups, group, text, other, other_text)
          else
            redis_call('HSET', K_groups, group, text)
          end
        end
      end
    end
  end
end
if take == 'lists' then
  local begin_next_32, begin_next_33, begin_next_34, begin_next_35, begin_next_36
  do -- begin_next(12, 15, named, owner, call, head and entry.queue)
    local key, arg, count, own = 12, 15, named, head and entry.queue
    local taken, message, begun, of, g
    local at, dropped, front = 0, 0, '{"properties": {"delivery_tag": "gf ' .. K_tag .. ' '
    while at < count do
      local text = redis.pcall('RPOP', KEYS[key + at])
      if type(text) ~= 'string' then -- empty, or no list
        if text == false and ARGV[arg + at] == own then
          taken = OWN
          break
        end
        at = at + 1
      else
        local drawn, lost, id, group
        if string.sub(text, 1, #front) == front and dropped < STALE then
          drawn = string.sub(text, #front + 1, #front + 16)
          lost, id, group = string.match(text, '^(%d+) %d+ (%S+) ([^"]+)"', #front + 18)
        end
        if not group then
          redis_call('RPUSH', KEYS[key + at], text)
          break
        end
        local noted = string.sub(drawn, -1) == '0' -- one in ten is enough where what is missing can be looked for
        g = open_ordinary(group, 'w', id, drawn, '-', lost)
        local begin_run_28
        do -- begin_run(group, g, id, drawn, owner, call, noted)
          local drawn = drawn
          local r, fence = record_of(g, id), nil
          if r and r.release == drawn and r.state == 'w' then
            redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. drawn .. ' ' .. group)
            local begun = noted and r.lost == '0' and (string.match(redis_call('HGET', K_begins, r.queue) or '', '^%d+') or '0')
            if begun and tonumber(begun) < tonumber(drawn) then
              redis_call('HSET', K_begins, r.queue, drawn .. ' ' .. K_ms_text)
            end
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
            fence = draw_number_6
            do -- start_run(r, fence, owner, call)
              r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
            end
          end
          begin_run_28 = fence
        end
        begun = begin_run_28
        if begun then
          taken, message, of = id, text, group
          break
        end
        dropped = dropped + 1
      end
    end
    begin_next_32, begin_next_33, begin_next_34, begin_next_35, begin_next_36 = taken, message, begun, of, g
  end
  taken, message, begun, of, other = begin_next_32, begin_next_33, begin_next_34, begin_next_35, begin_next_36
end
if head and (taken == OWN or take == 'own') then -- it is the next one: begun without going through the broker
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
  begun = draw_number_7
  head.release = begun
  do -- start_run(head, begun, owner, call)
    local r, fence = head, begun
    r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
  end
  do -- write_group(group, g)
    local other, other_g = nil, nil
    local state_text_8
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_8 = text
    end
    local text = state_text_8
    if other then
      local state_text_9
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_9 = text
      end
      local other_text = state_text_9
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
  taken, message, of = head.id, compose(head.id, entry, begun, '0'), group
elseif head then
  do -- release(lists, group, g, head, entry, out, begun, of, other)
    local r, drawn, other, other_g = head, begun, of, other
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
      local state_text_8
      do -- state_text(g)
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_8 = text
      end
      local text = state_text_8
      if other then
        local state_text_9
        do -- state_text(other_g)
          local g = other_g
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_9 = text
        end
        local other_text = state_text_9
        redis_call('HSET', K_groups, group, text, other, other_text)
      else
        redis_call('HSET', K_groups, group, text)
      end
    end
    local message = compose(r.id, entry, drawn, r.lost)
    redis_call('ZADD', K_on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. group)
    local pushed = lists[queue] and (r.lost == '0' and redis.pcall('LPUSH', lists[queue], message)
      or redis.pcall('RPUSH', lists[queue], message))
    if type(pushed) == 'table' and not string.find(pushed.err, 'WRONGTYPE', 1, true) then
      error(pushed.err)
    elseif type(pushed) ~= 'number' then -- the caller gave no such list, or the key is no list
      out[#out + 1] = queue
      out[#out + 1] = message
    end
  end
elseif begun then
  do -- write_group(of, other)
    local group, g, other, other_g = of, other, nil, nil
    local state_text_8
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_8 = text
    end
    local text = state_text_8
    if other then
      local state_text_9
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_9 = text
      end
      local other_text = state_text_9
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
end
if extends == '1' then
  redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
end
do -- keep_lane(runs, lane, call .. ' ' .. (of or '-') .. ' ' .. (taken or '-') .. ' ' .. due_text, owner, ttl)
  local said = call .. ' ' .. (of or '-') .. ' ' .. (taken or '-') .. ' ' .. due_text
  if redis_call('HSET', runs, lane, said) == 1 then
    redis_call('PERSIST', runs)
    redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
  end
end
return { 1, message or '', begun or 0, due, unpack(out) }
