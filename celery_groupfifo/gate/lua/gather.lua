-- Made of lua/gather.lua by `make scripts`: change that file, not this one.
--
-- gather: let a run take the entries behind its own along, as its followers: they are executed with it, in one batch.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] id       (text)
-- ARGV[4] group    (text)
-- ARGV[5] fence    (number)
-- ARGV[6] most     (count) followers
-- ARGV[7] task     (text)  name of their task, as the run's
-- Returns {message...} of the run's followers, by this call, now or before; none when the run is over
-- Complexity O(most)
local redis_call = redis.call
local K_entries = KEYS[1]
local K_groups = KEYS[2]
local K_due = KEYS[3]
local K_flags = KEYS[4]
local K_stats = KEYS[8]
local K_dead = KEYS[9]
local K_tag = ARGV[2]
-- The starts of the ranges of due.
local K_REST = 3e14
-- Returns the record of an entry that goes under way; the caller completes it.
local function new_record(id, queue)
  return {
    state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
    call = '-', queue = queue,
  }
end
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
      local found = false
      for id in string.gmatch(string.sub(g.text, g.corrupt), '%S+') do
        local entry, corrupt = read_entry(id)
        if (corrupt or entry and entry.group == group) and not record_of(g, id) then
          do -- set_aside(id, group, 'corrupt', entry and entry.text or corrupt)
            local why, text = 'corrupt', entry and entry.text or corrupt
            do -- write_letter(id, group, why, text or '')
              local name, text = id, text or ''
              local newest, others = redis_call('HGET', K_dead, 'newest') or '0', redis_call('HGET', K_dead, 'i ' .. name)
              local digits_3
              do -- digits(math.max(newest + 1, tonumber(K_us_text)))
                local value = math.max(newest + 1, tonumber(K_us_text))
                digits_3 = string.format('%.0f', value)
              end
              local number = digits_3
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
            local digits_3
            do -- digits(math.max(newest + 1, tonumber(K_us_text)))
              local value = math.max(newest + 1, tonumber(K_us_text))
              digits_3 = string.format('%.0f', value)
            end
            local number = digits_3
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
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local function compose(id, entry, drawn, lost)
  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
  local cut = entry.at + entry.cut
  return TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
end
local FRONT = '^"lang": "%l+", "task": "([^"\\]+)", "id": "' -- of Celery's headers
-- Returns whether an entry may be executed with a run: it is of its task and its queue, waits for no ETA in its place,
-- and runs beside no others.
local function fits(group, g, r, entry, task)
  local together = 1
  if entry.limits ~= '' or g.flags ~= '-' then
    local limits_of_8
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
      limits_of_8 = limits
    end
    local limits = limits_of_8
    together = limits.together or 1
  end
  local due = tonumber(string.match(entry.limits, ' l%d+/%d+/%d+/(%d+)') or 0)
  local name
  if entry.queue == r.queue and together == 1 and due <= now_ms() then
    name = string.match(entry.text, FRONT, entry.at + entry.cut) -- exact: the headers begin with it
    if not name then
      local ok, text = pcall(cjson.decode, compose('-', entry, '0', '0'))
      name = ok and type(text) == 'table' and type(text.headers) == 'table' and text.headers.task
    end
  end
  return name == task
end

local BYTES = 262144 -- of messages that one call moves; and one message more
local MANY = 16 -- entries that are read at once
local steps = 100 -- empty places that one call may walk over
local line, id, group, fence, most, task = KEYS[10], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]

local g, out, bytes = open_group(group), {}, 0
local running_9
do -- running(g, id, fence)
  local r = record_of(g, id)
  running_9 = r and r.state == 'r' and r.fence == fence and r or nil
end
local r = running_9

local asked, alone = 0, not r or r.lost ~= '0' or string.find(g.flags, '[pbn]')
for _, other in ipairs(r and g or {}) do
  local entry = other.stop == 'f' and other.state == 'r' and other.fence == fence and read_entry(other.id)
  if entry then -- a repetition of this call
    out[#out + 1] = compose(other.id, entry, other.release, other.lost)
    asked = asked + 1
  elseif other ~= r and other.stop ~= 'f' then
    alone = true
  end
end
if asked == 0 and not alone then
  do -- free_group(group)
    redis_call('HDEL', K_groups, group)
  end
  for _, other in ipairs(g) do -- those of an earlier run come first
    local more = other ~= r and not alone and other.lost == '0' and #out < most and bytes < BYTES
    local entry = more and read_entry(other.id)
    if entry and fits(group, g, r, entry, task) then
      do -- follow(other, entry)
        do -- start_run(other, fence, r.owner, r.call)
          local r, owner, call = other, r.owner, r.call
          r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
        end
        other.release, other.stop = r.release, 'f'
        bytes = bytes + #entry.text
        out[#out + 1] = compose(other.id, entry, r.release, other.lost)
      end
    elseif other ~= r then
      alone = true
    end
  end
  while not alone and #out < most and bytes < BYTES and steps > 0 do
    local items, taken = redis_call('LRANGE', line, 0, math.min(most - #out, MANY) - 1), 0
    local read_items_10, read_items_11
    do -- read_items(items)
      local ids = {}
      for at, item in ipairs(items) do
        ids[at] = string.sub(item, 18)
      end
      local texts = ids[1] and redis_call('HMGET', K_entries, unpack(ids)) or {}
      read_items_10, read_items_11 = ids, texts
    end
    local ids, texts = read_items_10, read_items_11
    for at, item in ipairs(items) do
      local entry, corrupt = read_entry(ids[at], texts[at])
      local gone = not corrupt and (not entry or entry.us ~= string.sub(item, 1, 16))
      alone = alone or bytes >= BYTES or steps == 0 or not gone and not (entry and fits(group, g, r, entry, task))
      if not alone then
        taken = at
        if gone then -- it was revoked
          do -- add_to(g, 'empty', -1)
            local what, number = 'empty', -1
            g[what] = string.format('%.0f', math.max(g[what] + number, 0))
          end
          steps = steps - 1
        else
          g[#g + 1] = new_record(ids[at], entry.queue)
          do -- follow(g[#g], entry)
            local other = g[#g]
            do -- start_run(other, fence, r.owner, r.call)
              local r, owner, call = other, r.owner, r.call
              r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
            end
            other.release, other.stop = r.release, 'f'
            bytes = bytes + #entry.text
            out[#out + 1] = compose(other.id, entry, r.release, other.lost)
          end
        end
      end
    end
    alone = alone or not items[1]
    if taken > 0 then
      redis_call('LTRIM', line, taken, -1)
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
end
return out
