-- Made of lua/fail.lua by `make scripts`: change that file, not this one.
--
-- fail: end a run that has failed for good, by its group's policy (not continue). As finish, without a hand-off.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] line     (list)  of the group
-- KEYS[11] runs     (hash)  of the worker, see lib/run.lua
-- KEYS[12] cut_off  (list)  of this run: the entries to cancel
-- KEYS[13] failures (string) of the group, see lib/breaker.lua
-- KEYS[14-] lists   (list)  the broker's lists that the worker consumes
-- KEYS[..] others   (list)  of a task with several keys, where the policy or the breaker asks for them: of each other
--                           group its line, its cut_off and its failures; see lib/rest.lua
-- ARGV[1-2]         clock, tag
-- ARGV[3]  id       (text)
-- ARGV[4]  group    (text)
-- ARGV[5]  fence    (number)
-- ARGV[6]  owner    (text)
-- ARGV[7]  lane     (number) of the run
-- ARGV[8]  call     (text)  this call's own name
-- ARGV[9]  ttl      (ms)    of the worker's lease
-- ARGV[10] policy   (text)  continue · block · dead_letter · cancel_rest
-- ARGV[11] why      (text)  for a dead letter, see lib/letters.lua
-- ARGV[12] flag     (text)  for a blocked group: JSON, open for the time
-- ARGV[13] lasts    (ms)    of the block; 0: until an operator ends it
-- ARGV[14] most     (count) final failures in a window that open the breaker; 0: there is none
-- ARGV[15] window   (ms)
-- ARGV[16] pause    (ms)    until the breaker lets a probe run
-- ARGV[17] named    (count) lists
-- ARGV[18-] queues  (text)  their names
-- ARGV[..] of       (count) other groups; absent: none
-- ARGV[..] groups   (text)  these
-- Returns {code, '', 0, due, [queue, message]...} as finish does; code 2: the group is blocked
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
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}
local FRONT = 8192 -- bytes: the headers of a message are shorter, unless somebody adds long ones
local function open_group(group)
  local read_group_9
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_8
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_8 = texts[group]
      end
      local text = group_text_8
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
    read_group_9 = g
  end
  local g = read_group_9
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
  return g
end
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
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
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
local REDELIVERED = '"redelivered": true, '
local steps = 100 -- empty places that one call may walk over
-- Returns whether an entry of a group has failed, and blocks it.
local function is_blocked(g)
  local found = false
  for _, r in ipairs(g) do
    found = found or r.stop == 'b'
  end
  return found
end
-- Close the JSON of a flag with the time.
local function stamped(flag)
  return flag .. '"at_ms": ' .. K_ms_text .. '}'
end

local line, runs, cut_off, failures = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, fence, owner, lane = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local call, ttl, policy, why = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11]
local flag, lasts, most, window = ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local pause, named = tonumber(ARGV[16]), tonumber(ARGV[17])

local lists, out, g = named_lists(14, 18, named), {}, open_group(group)
local running_53
do -- running(g, id, fence)
  local r = record_of(g, id)
  running_53 = r and r.state == 'r' and r.fence == fence and r or nil
end
local r = running_53
if not r then
  local lane_words_49, lane_words_50, lane_words_51, lane_words_52
  do -- lane_words(runs, lane)
    local said = redis_call('HGET', runs, lane) or redis_call('HGET', runs, 'a' .. lane)
    local call, group, id, due = string.match(said or '', '^(%S+) (%S+) (%S+) (%S+)$')
    lane_words_49, lane_words_50, lane_words_51, lane_words_52 = call, group, id, due
  end
  local before, _, _, at = lane_words_49, lane_words_50, lane_words_51, lane_words_52
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due, head = at ~= '-' and math.max(tonumber(at) - now_ms(), 0) or -1, record_of(g, id)
  do -- heads_again(lists, g, out)
    for _, r in ipairs(g) do
      do -- ask_again(lists, r, out)
        local read_entry_19
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
          read_entry_19 = entry
        end
        local entry = read_entry_19
        if entry and r.state == 'w' and not lists[r.queue] then
          local compose_48
          do -- compose(r.id, entry, r.release, r.lost)
            local id, drawn, lost = r.id, r.release, r.lost
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
            local cut = entry.at + entry.cut
            compose_48 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_48
          out[#out + 1] = r.queue
          out[#out + 1] = message
        end
      end
    end
  end
  return { head and head.stop == 'b' and 2 or 1, '', 0, due, unpack(out) } -- a repetition of this call
end

do -- free_group(group)
  redis_call('HDEL', K_groups, group)
end
do -- note_begin(group, g, r)
  if has_flag(g, 's') and r.state == 'r' and r.stop ~= 'f' then
    local counted_begins_24, counted_begins_25, counted_begins_26
    do -- counted_begins(group)
      local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
      local begins = {}
      for ms in string.gmatch(times or '', '%d+') do
        begins[#begins + 1] = tonumber(ms)
      end
      counted_begins_24, counted_begins_25, counted_begins_26 = begins, tonumber(starts or 0), tonumber(window or 0)
    end
    local begins, starts, window = counted_begins_24, counted_begins_25, counted_begins_26
    begins[#begins + 1] = tonumber(r.since)
    do -- keep_begins(group, begins, starts, window)
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
  if has_flag(g, 'k') and r.state == 'r' then
    do -- note_elsewhere(r)
      for of in string.gmatch(redis_call('HGET', K_begins, 'k ' .. r.id) or '', '%S+') do
        local other = open_group(of)
        if has_flag(other, 's') then
          local counted_begins_21, counted_begins_22, counted_begins_23
          do -- counted_begins(of)
            local group = of
            local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
            local begins = {}
            for ms in string.gmatch(times or '', '%d+') do
              begins[#begins + 1] = tonumber(ms)
            end
            counted_begins_21, counted_begins_22, counted_begins_23 = begins, tonumber(starts or 0), tonumber(window or 0)
          end
          local begins, starts, window = counted_begins_21, counted_begins_22, counted_begins_23
          begins[#begins + 1] = tonumber(r.since)
          do -- keep_begins(of, begins, starts, window)
            local group = of
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
      end
    end
  end
end
local code, due = 1, -1
if r.due ~= '-' then -- its continuation is stored: that is the end of a run, not of the task
  due = math.max(tonumber(r.due) - now_ms(), 0)
  do -- resume(lists, group, g, r, out)
    local group, again = group, nil
    do -- free_group(group)
      redis_call('HDEL', K_groups, group)
    end
    if again and r.due == '-' then
      do -- mark_redelivered(r.id)
        local id = r.id
        local read_entry_12
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
          read_entry_12 = entry
        end
        local e = read_entry_12
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
      if not stopped then
        redis_call('ZADD', K_due, K_HOLDS + r.due, 'h ' .. group .. ' ' .. r.id)
      end
    else
      local read_entry_13, read_entry_14
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
        read_entry_13, read_entry_14 = entry, corrupt
      end
      local entry, corrupt = read_entry_13, read_entry_14
      local left = false
      if entry and has_flag(g, 'k') then
        local is_left_behind_55
        do -- is_left_behind(r.id)
          local id = r.id
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
          is_left_behind_55 = name and not said or said == '!'
        end
        left = is_left_behind_55
      end
      if entry and not left then
        do -- release(lists, group, g, r, entry, out)
          local held
          if entry.limits ~= '' or g.flags ~= '-' then
            local hold_back_45
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
                local await_places_42
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
                  await_places_42 = free_at
                end
                awaits = await_places_42
              end
              hold_back_45 = free_at or awaits
            end
            held = hold_back_45
            if not held then
              local take_turn_46
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
                take_turn_46 = waits
              end
              held = take_turn_46
            end
          end
          if held then
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
              local compose_47
              do -- compose(r.id, entry, drawn, r.lost)
                local id, lost = r.id, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                local cut = entry.at + entry.cut
                compose_47 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_47
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
  end
else
  local opens_62
  do -- opens(failures, g, most, window)
    local broken = most > 0 and has_flag(g, 'o')
    if most > 0 and not broken then
      local kept, count = '', 1
      for ms in string.gmatch(redis_call('GET', failures) or '', '%d+') do
        if tonumber(ms) > now_ms() - window then
          kept, count = kept .. ms .. ' ', count + 1
        end
      end
      broken = count >= most
      if broken then
        redis_call('DEL', failures)
        do -- add_mark(g, 'o')
          local letter = 'o'
          g.flags = (g.flags == '-' and '' or g.flags) .. letter
        end
      else
        redis_call('SET', failures, kept .. K_ms_text, 'PX', window)
      end
    end
    opens_62 = broken
  end
  local broken = opens_62
  local fail_elsewhere_63
  do -- fail_elsewhere(14 + named, 18 + named, policy, fence, most, window)
    local key, arg = 14 + named, 18 + named
    local broken = false
    for at = 1, tonumber(ARGV[arg] or 0) do
      local of, first = ARGV[arg + at], key + 3 * at - 3
      local other = open_group(of)
      local opens_61
      do -- opens(KEYS[first + 2], other, most, window)
        local failures, g = KEYS[first + 2], other
        local broken = most > 0 and has_flag(g, 'o')
        if most > 0 and not broken then
          local kept, count = '', 1
          for ms in string.gmatch(redis_call('GET', failures) or '', '%d+') do
            if tonumber(ms) > now_ms() - window then
              kept, count = kept .. ms .. ' ', count + 1
            end
          end
          broken = count >= most
          if broken then
            redis_call('DEL', failures)
            do -- add_mark(g, 'o')
              local letter = 'o'
              g.flags = (g.flags == '-' and '' or g.flags) .. letter
            end
          else
            redis_call('SET', failures, kept .. K_ms_text, 'PX', window)
          end
        end
        opens_61 = broken
      end
      local opened = opens_61
      broken = broken or opened
      if policy == 'cancel_rest' then
        do -- cut_rest(of, other, KEYS[first], KEYS[first + 1], fence)
          local group, g, line, cut_off = of, other, KEYS[first], KEYS[first + 1]
          local length = redis_call('LLEN', line)
          if length > 0 then
            if redis_call('RENAMENX', line, cut_off) == 0 then
              for first = 0, length - 1, 1000 do
                redis_call('RPUSH', cut_off, unpack(redis_call('LRANGE', line, first, first + 999)))
              end
              redis_call('DEL', line)
            end
            do -- add_to(g, 'aside', length - g.empty)
              local what, number = 'aside', length - g.empty
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
            g.empty = '0'
            if redis_call('ZADD', K_due, K_REST + now_ms(), 'd ' .. group .. ' ' .. fence) == 1 then
              do -- add_mark(g, 'c')
                local letter = 'c'
                g.flags = (g.flags == '-' and '' or g.flags) .. letter
              end
            end
          end
        end
      end
      do -- write_group(of, other)
        local group, g, other, other_g = of, other, nil, nil
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
    end
    fail_elsewhere_63 = broken
  end
  local elsewhere = fail_elsewhere_63
  broken = broken or elsewhere
  if policy == 'cancel_rest' then
    do -- cut_rest(group, g, line, cut_off, fence)
      local length = redis_call('LLEN', line)
      if length > 0 then
        if redis_call('RENAMENX', line, cut_off) == 0 then
          for first = 0, length - 1, 1000 do
            redis_call('RPUSH', cut_off, unpack(redis_call('LRANGE', line, first, first + 999)))
          end
          redis_call('DEL', line)
        end
        do -- add_to(g, 'aside', length - g.empty)
          local what, number = 'aside', length - g.empty
          g[what] = string.format('%.0f', math.max(g[what] + number, 0))
        end
        g.empty = '0'
        if redis_call('ZADD', K_due, K_REST + now_ms(), 'd ' .. group .. ' ' .. fence) == 1 then
          do -- add_mark(g, 'c')
            local letter = 'c'
            g.flags = (g.flags == '-' and '' or g.flags) .. letter
          end
        end
      end
    end
  end
  if policy == 'block' or broken then
    code = 2
    do -- block(group, g, r, flag .. (broken and '"broken": true, ' or ''), broken and pause or lasts)
      local flag, lasts = flag .. (broken and '"broken": true, ' or ''), broken and pause or lasts
      local before = is_blocked(g) and redis_call('HGET', K_flags, 'b ' .. group) .. '\n' or ''
      r.state, r.owner, r.call, r.stop, r.since = 'h', '-', '-', 'b', K_ms_text
      if lasts > 0 then
        r.due = digits(now_ms() + lasts)
        redis_call('ZADD', K_due, K_REST + r.due, 'b ' .. group .. ' ' .. r.id)
      end
      do -- set_flag(group, g, 'b', before .. stamped('{"entry": "' .. r.id .. '", ' .. string.sub(flag, 2)))
        local letter, said = 'b', before .. stamped('{"entry": "' .. r.id .. '", ' .. string.sub(flag, 2))
        local new = redis_call('HSET', K_flags, letter .. ' ' .. group, said) == 1 or not has_flag(g, letter)
        if not has_flag(g, letter) then
          do -- add_mark(g, letter)
            g.flags = (g.flags == '-' and '' or g.flags) .. letter
          end
        end
      end
      do -- halt_others(group, g)
        for _, r in ipairs(g) do
          if r.state == 'w' or r.stop == 't' or r.stop == 's' then
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
                  local stands_for_39, stands_for_40
                  do -- stands_for(id)
                    local of, name
                    if string.find(id, ';k', 1, true) then
                      of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                    end
                    stands_for_39, stands_for_40 = of, name
                  end
                  local of, name = stands_for_39, stands_for_40
                  local g = of and open_group(of)
                  local r = g and record_of(g, name)
                  if r and r.state == 'w' then
                    redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. of)
                    redis_call('ZREM', K_due, 'r ' .. of .. ' ' .. name)
                    r.state, r.stop, r.since = 'h', 's', K_ms_text
                    do -- write_group(of, g)
                      local group, other, other_g = of, nil, nil
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
                  end
                end
              end
              redis_call('ZREM', K_due, 'h ' .. group .. ' ' .. r.id)
            end
            r.stop = 'h'
          end
        end
      end
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
      redis_call('HINCRBY', K_stats, 'tasks_blocked', 1)
    end
  else
    if policy == 'dead_letter' then
      do -- set_aside(id, group, why, redis_call('HGET', K_entries, id))
        local text = redis_call('HGET', K_entries, id)
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
    else
      redis_call('HDEL', K_entries, id)
      redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
    end
    do -- end_entry(id, group, g)
      do -- free_identity(id, group, g, true)
        local ran = true
        local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
        local after, identity = string.match(said or '', '^(%d+) (.*)$')
        if identity then
          local field = 'i ' .. group .. ' ' .. identity
          local others_of_54
          do -- others_of(field, id)
            local others = ''
            local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
            for name in string.gmatch(names or '', '%S+') do
              others = others .. (name == id and '' or ' ' .. name)
            end
            others_of_54 = others
          end
          local others = others_of_54
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
      if has_flag(g, 'k') then
        do -- leave_places(id, nil, true)
          local name, by, ran = id, nil, true
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
            do -- look_soon(K_REST, 'a ' .. of)
              local score, member = K_REST, 'a ' .. of
              redis_call('ZADD', K_due, score + now_ms(), member)
              soon = true
            end
          end
          redis_call('HDEL', K_begins, 'k ' .. name)
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
    do -- advance(lists, line, group, g, out)
      local group = group
      local take_head_59, take_head_60
      do -- take_head(line, group, g)
        local group = group
        local head, entry, corrupt
        if g[1] then
          local take_follower_57, take_follower_58
          do -- take_follower(line, g)
            local head, entry
            local free = not has_flag(g, 'p')
            for _, r in ipairs(g) do
              free = free and r.stop == 'f'
            end
            while free and g[1] and not head do
              local read_entry_15, read_entry_16
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
                read_entry_15, read_entry_16 = entry, corrupt
              end
              local found, corrupt = read_entry_15, read_entry_16
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
            take_follower_57, take_follower_58 = head, entry
          end
          head, entry = take_follower_57, take_follower_58
        end
        local others = #g
        local has_room_43
        do -- has_room(g)
          local room = not has_flag(g, 'p') and (#g == 0 or has_flag(g, 'n'))
          for at = 1, room and #g or 0 do
            room = room and g[at].state ~= 'w' and g[at].stop == '-'
          end
          has_room_43 = room
        end
        local is_free = has_room_43
        is_free = is_free and not head
        local item = is_free and steps > 0 and redis_call('LPOP', line)
        while item do
          local id = string.sub(item, 18)
          local read_entry_17, read_entry_18
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
            read_entry_17, read_entry_18 = entry, corrupt
          end
          entry, corrupt = read_entry_17, read_entry_18
          local stands, left = entry and entry.us == string.sub(item, 1, 16), false
          if stands and has_flag(g, 'k') then
            local is_left_behind_56
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
              is_left_behind_56 = name and not said or said == '!'
            end
            left = is_left_behind_56
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
              local may_join_44
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
                may_join_44 = (limits.together or 1) > others
              end
              fits = may_join_44
            end
            if not fits then
              redis_call('LPUSH', line, item)
            else
              local new_record_6
              do -- new_record(id, entry.queue)
                local queue = entry.queue
                new_record_6 = {
                  state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
                  call = '-', queue = queue,
                }
              end
              head = new_record_6
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
          local depth_of_7
          do -- depth_of(line, g)
            depth_of_7 = redis_call('LLEN', line) - g.empty + g.aside + #g
          end
          local depth = depth_of_7
          g.drained = depth <= 0
        end
        take_head_59, take_head_60 = head, entry
      end
      local head, entry = take_head_59, take_head_60
      if head then
        do -- release(lists, group, g, head, entry, out)
          local r = head
          local held
          if entry.limits ~= '' or g.flags ~= '-' then
            local hold_back_45
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
                local await_places_42
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
                  await_places_42 = free_at
                end
                awaits = await_places_42
              end
              hold_back_45 = free_at or awaits
            end
            held = hold_back_45
            if not held then
              local take_turn_46
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
                take_turn_46 = waits
              end
              held = take_turn_46
            end
          end
          if held then
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
              local compose_47
              do -- compose(r.id, entry, drawn, r.lost)
                local id, lost = r.id, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                local cut = entry.at + entry.cut
                compose_47 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_47
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
          end
        end
      end
    end
    local head = g[#g]
    if head and head.stop == 'l' then
      code, due = 3, tonumber(head.due) - now_ms()
    end
    local needs_sweep_41
    do -- needs_sweep()
      needs_sweep_41 = soon
    end
    local sweeps = needs_sweep_41
    if sweeps then
      code, due = 3, 0
    end
  end
end
redis_call('HINCRBY', K_stats, 'runs_failed', 1)
do -- keep_lane(runs, lane, call .. ' - - ' .. (code ~= 3 and due >= 0 and digits(now_ms() + due) or '-'), owner, ttl)
  local said = call .. ' - - ' .. (code ~= 3 and due >= 0 and digits(now_ms() + due) or '-')
  if redis_call('HSET', runs, lane, said) == 1 then
    redis_call('PERSIST', runs)
    redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
  end
end
return { code, '', 0, due, unpack(out) }
