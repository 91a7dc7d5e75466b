-- Made of lua/reclaim.lua by `make scripts`: change that file, not this one.
--
-- reclaim: take back the heads of a worker whose lease is over, or that has ended.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] lost     (hash)    the runs of that worker, see lib/run.lua
-- KEYS[11] runs     (hash)    of the caller
-- KEYS[12-] lists   (list)    the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] owner     (text)    that worker
-- ARGV[4] silent    (0 | 1)   nothing is done when its lease was renewed meanwhile, and each head counts as lost once
--                             more; 0: it gives them back itself
-- ARGV[5] limit     (count)   lanes
-- ARGV[6] call      (text)    the same one until an answer has come
-- ARGV[7] keep      (ms)      how long the calls of a silent worker are remembered
-- ARGV[8] named     (count)   lists
-- ARGV[9-] queues   (text)    their names
-- Returns {more, reclaimed, [queue, message]...}: 1 when lanes are left · number of heads · to publish
-- Complexity O(limit · log on_the_way)
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
local REDELIVERED = '"redelivered": true, '

local BYTES = 262144 -- of messages that one call moves; and one message more
local lost, runs, owner, silent = KEYS[10], KEYS[11], ARGV[3], ARGV[4] == '1'
local limit, call, keep, named = tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8])

local lists, out, reclaimed, seen, bytes, more = named_lists(12, 9, named), {}, 0, 0, 0, 0
local names_again_33
do -- names_again(runs, 'reclaim', call, lists, out)
  local kind = 'reclaim'
  local before, names = string.match(redis_call('HGET', runs, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    local find_record_12
    do -- find_record(name)
      local id = name
      local entry, found, g = read_entry(id), nil, nil
      if entry then
        g = open_group(entry.group)
        found = record_of(g, id)
      end
      find_record_12 = found
    end
    local r = find_record_12
    if r then
      do -- ask_again(lists, r, out)
        local entry = read_entry(r.id)
        if entry and r.state == 'w' and not lists[r.queue] then
          local compose_31
          do -- compose(r.id, entry, r.release, r.lost)
            local id, drawn, lost = r.id, r.release, r.lost
            local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
            local cut = entry.at + entry.cut
            compose_31 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
              .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
          end
          local message = compose_31
          out[#out + 1] = r.queue
          out[#out + 1] = message
        end
      end
    end
  end
  names_again_33 = names
end
local asked = names_again_33
local renewed = silent and redis_call('ZSCORE', K_due, 'w ' .. owner)
local lanes = renewed and {} or redis_call('HGETALL', lost)
for i = 1, #lanes, 2 do
  local group, id = string.match(lanes[i + 1], '^%S+ (%S+) (%S+) %S+$')
  local g = group and string.find(lanes[i], '^%d+$') and open_group(group)
  local r = g and record_of(g, id)
  if r and r.state == 'r' and r.owner == owner then
    if seen == limit or bytes >= BYTES then
      more = 1
      break
    end
    local before = #out
    bytes, seen = bytes + redis_call('HSTRLEN', K_entries, id), seen + 1
    if silent then
      r.lost, reclaimed = digits(r.lost + 1), reclaimed + 1
    end
    do -- free_group(group)
      redis_call('HDEL', K_groups, group)
    end
    do -- note_begin(group, g, r)
      if has_flag(g, 's') and r.state == 'r' and r.stop ~= 'f' then
        local counted_begins_16, counted_begins_17, counted_begins_18
        do -- counted_begins(group)
          local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
          local begins = {}
          for ms in string.gmatch(times or '', '%d+') do
            begins[#begins + 1] = tonumber(ms)
          end
          counted_begins_16, counted_begins_17, counted_begins_18 = begins, tonumber(starts or 0), tonumber(window or 0)
        end
        local begins, starts, window = counted_begins_16, counted_begins_17, counted_begins_18
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
              local counted_begins_13, counted_begins_14, counted_begins_15
              do -- counted_begins(of)
                local group = of
                local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                local begins = {}
                for ms in string.gmatch(times or '', '%d+') do
                  begins[#begins + 1] = tonumber(ms)
                end
                counted_begins_13, counted_begins_14, counted_begins_15 = begins, tonumber(starts or 0), tonumber(window or 0)
              end
              local begins, starts, window = counted_begins_13, counted_begins_14, counted_begins_15
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
    do -- leave_followers(g, r, silent and 1 or 0)
      local lost = silent and 1 or 0
      for _, other in ipairs(g) do
        if other.stop == 'f' and other.state == 'r' and other.fence == r.fence then
          other.state, other.fence, other.owner, other.call, other.since = 'h', '-', '-', '-', K_ms_text
          other.lost = digits(tonumber(other.lost) + lost)
          do -- mark_redelivered(other.id)
            local id = other.id
            local e = read_entry(id)
            if e and string.sub(e.text, e.at, e.at + #REDELIVERED - 1) ~= REDELIVERED then
              redis_call('HSET', K_entries, id, table.concat({
                e.us, ' ', e.group, ' ', e.queue, ' ', string.format('%.0f', e.cut + #REDELIVERED), e.limits, '\n',
                REDELIVERED, string.sub(e.text, e.at, e.at + e.cut - 1), REDELIVERED, string.sub(e.text, e.at + e.cut),
              }))
            end
          end
        end
      end
    end
    do -- resume(lists, group, g, r, out, true)
      local again = true
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
        local entry, corrupt = read_entry(r.id)
        local left = false
        if entry and has_flag(g, 'k') then
          local is_left_behind_32
          do -- is_left_behind(r.id)
            local id = r.id
            local stands_for_25, stands_for_26
            do -- stands_for(id)
              local of, name
              if string.find(id, ';k', 1, true) then
                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
              end
              stands_for_25, stands_for_26 = of, name
            end
            local _, name = stands_for_25, stands_for_26
            local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
            is_left_behind_32 = name and not said or said == '!'
          end
          left = is_left_behind_32
        end
        if entry and not left then
          do -- release(lists, group, g, r, entry, out)
            local held
            if entry.limits ~= '' or g.flags ~= '-' then
              local hold_back_28
              do -- hold_back(group, g, r, entry)
                local limits_of_22
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
                  limits_of_22 = limits
                end
                local limits = limits_of_22
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
                  local counted_begins_19, counted_begins_20, counted_begins_21
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_19, counted_begins_20, counted_begins_21 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local begins, starts, window = counted_begins_19, counted_begins_20, counted_begins_21
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
                  local await_places_27
                  do -- await_places(r, entry)
                    local stands_for_23, stands_for_24
                    do -- stands_for(r.id)
                      local id = r.id
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_23, stands_for_24 = of, name
                    end
                    local of, name = stands_for_23, stands_for_24
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
                    await_places_27 = free_at
                  end
                  awaits = await_places_27
                end
                hold_back_28 = free_at or awaits
              end
              held = hold_back_28
              if not held then
                local take_turn_29
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
                  take_turn_29 = waits
                end
                held = take_turn_29
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
                local compose_30
                do -- compose(r.id, entry, drawn, r.lost)
                  local id, lost = r.id, r.lost
                  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                  local cut = entry.at + entry.cut
                  compose_30 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                end
                local message = compose_30
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
    asked = #out > before and asked .. ' ' .. id or asked
  end
end
if more == 0 then
  redis_call('ZREM', K_due, 'v ' .. owner)
  if not silent then
    redis_call('ZREM', K_due, 'w ' .. owner)
    redis_call('DEL', lost)
  end
  if silent and not renewed then
    redis_call('PEXPIRE', lost, keep)
  end
  for i = 1, silent and #lanes or 0, 2 do -- the answers stay, for a worker that lives and repeats its calls
    if string.find(lanes[i], '^%d+$') then
      redis_call('HSET', lost, 'a' .. lanes[i], lanes[i + 1])
      redis_call('HDEL', lost, lanes[i])
    end
  end
end
do -- remember(runs, 'reclaim', call, asked, keep)
  local kind, names, ttl = 'reclaim', asked, keep
  if names ~= '' and redis_call('HSET', runs, kind, call .. names) == 1 and redis_call('HLEN', runs) == 1 then
    redis_call('PEXPIRE', runs, ttl) -- until it is a worker's with runs
  end
end
if reclaimed > 0 then
  redis_call('HINCRBY', K_stats, 'tasks_reclaimed', reclaimed)
end
return { more, reclaimed, unpack(out) }
