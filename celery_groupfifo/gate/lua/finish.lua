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
-- ARGV[5]  run         (text)  "<release> <fence> - - <losses>", as its record has them
-- ARGV[6]  who         (text)  "<owner> <call>", with this call's own name
-- ARGV[7]  lane        (number) of the run, and of the one that is taken
-- ARGV[8]  take        (text)  "<take>[+] <ttl>": lists: the next ticket of the lists · own: the group's next head ·
--                              none; + when the lease is extended, as its last renewal is some time ago; the ms of the
--                              worker's lease
-- ARGV[9]  queues      (text)  the names of the lists, with blanks between them
-- ARGV[10-] queue, cut, message, delay  of the run's continuation (retry, replace), when it has one; see park.lua
-- ARGV[..] rejoins     (1)     when the continuation gives up its place: it joins the tail of its line when it is due
-- Returns {code, taken, fence, due, [queue, message]...}: code 1 finished · 0 stale, nothing was done · 3 finished, and
--         the group's next head is held, or a sweep lets other groups go on · 4 more: advance may let another entry go
--         on beside the one that was taken; the message taken and its run's fence, or '' and 0; ms until the
--         continuation is due, with code 3 that head or sweep, or -1; to publish
--         {taken, fence} for {1, taken, fence, -1}, and {entry, ticket} when that is the group's own head
-- Complexity O(log on_the_way)
local redis_call = redis.call
-- The usual end of a run: without a continuation, of the only entry under way in a group without flags, by a worker
-- that takes the next ticket of its lists. It makes no function and hardly a table: a third of a script's time.
-- Any other end, a repeated one too, finds everything as it was.
-- Returns {message, fence}; of the group's own head {entry, ticket}, whose message its reader makes: that costs less
-- than Lua's two texts. See `whole_end` in gate/records.py.
do
  local find, sub = string.find, string.sub
  local id, group, who, take, names = ARGV[3], ARGV[4], ARGV[6], ARGV[8], ARGV[9]
  local known = find(take, 'lists', 1, true) == 1 and not ARGV[10] and redis_call('HGET', KEYS[2], group)
  local said = '- 0 0\nr ' .. id .. ' ' .. ARGV[5] .. ' ' -- see read_ordinary
  if known and find(known, said, 1, true) == 1 and not find(known, '\n', #said, true) then
    local entries, groups, line = KEYS[1], KEYS[2], KEYS[10]
    local item = redis_call('LPOP', line)
    local usual, next_id, text, queue, cut, at, list = not item, nil, nil, nil, nil, nil, nil
    if item then
      next_id = sub(item, 18)
      text = redis_call('HGET', entries, next_id)
      local front = sub(item, 1, 17) .. group .. ' '
      if text and find(text, front, 1, true) == 1 then
        queue, cut, at = string.match(text, '^(%S+) (%d+)\n()', #front + 1) -- see read_entry
      end
      list = names == queue and KEYS[12]
      local place = 12
      for name in string.gmatch(not list and queue and names or '', '%S+') do
        list = name == queue and KEYS[place] or list
        place = place + 1
      end
      usual = list
    end

    -- The next ticket of the lists, see begin_next.
    local ticket, own, from, drawn, lost, taken, of, waits_in = nil, false, nil, nil, nil, nil, nil, nil
    for place = 12, usual and #KEYS or 0 do
      from = KEYS[place]
      ticket = redis.pcall('RPOP', from)
      own = ticket == false and list == from
      if ticket or own then
        break
      end
    end
    if ticket then
      local front = '{"properties": {"delivery_tag": "gf ' .. ARGV[2] .. ' '
      if type(ticket) ~= 'string' then -- no list
        usual, ticket = false, nil
      elseif find(ticket, front, 1, true) == 1 then
        drawn = sub(ticket, #front + 1, #front + 16)
        local start, stop = #front + 37, find(ticket, '"', #front, true) -- a pattern costs some ten times as much
        local blank = stop and find(ticket, ' ', start, true)
        if blank and blank < stop and sub(ticket, start - 20, start - 17) == ' 0 1' then
          lost, taken, of = '0', sub(ticket, start, blank - 1), sub(ticket, blank + 1, stop - 1)
        else
          lost, taken, of = string.match(ticket, '^(%d+) %d+ (%S+) ([^"]+)"', #front + 18)
        end
      end
      local state = of and redis_call('HGET', groups, of)
      if state then
        local wanted = '- 0 0\nw ' .. taken .. ' ' .. drawn .. ' - - - ' .. lost .. ' '
        if find(state, wanted, 1, true) == 1 and not find(state, '\n', #wanted, true) then
          waits_in = sub(state, #wanted + 19)
        end
      end
      if ticket and not waits_in then
        redis_call('RPUSH', from, ticket)
        usual = usual and not of -- a plain message keeps its turn; a stale ticket is not usual
      end
    end

    if usual then
      local us = ARGV[1]
      if us == '' then
        local time = redis_call('TIME')
        us = time[2]
        us = time[1] .. (#us == 6 and us or sub('00000' .. us, -6))
      end
      local ms, begun = sub(us, 1, 13), 0
      redis_call('HDEL', entries, id)
      redis_call('HINCRBY', KEYS[8], 'tasks_finished', 1)
      if waits_in then
        redis_call('ZREM', KEYS[5], waits_in .. ' ' .. drawn .. ' ' .. of)
        if sub(drawn, -1) == '0' and lost == '0' then -- see begin_run
          local before = string.match(redis_call('HGET', KEYS[6], waits_in) or '', '^%d+') or '0'
          if tonumber(before) < tonumber(drawn) then
            redis_call('HSET', KEYS[6], waits_in, drawn .. ' ' .. ms)
          end
        end
      end
      if item or waits_in then -- see draw_number
        begun = us
        local last = redis_call('SET', KEYS[7], us, 'GET')
        if last and last >= us then
          begun = string.format('%.0f', last + 1)
          redis_call('SET', KEYS[7], begun)
        end
      end
      local message, next_state, words = ticket, nil, nil
      if item then -- see send_out
        words = 'gf ' .. ARGV[2] .. ' ' .. begun .. ' 0 ' .. sub(item, 1, 17) .. next_id .. ' ' .. group
        if own then
          next_state = '- 0 0\nr ' .. next_id .. ' ' .. begun .. ' ' .. begun .. ' - - 0 ' .. ms .. ' ' .. who .. ' '
            .. queue
          message, of, taken = text, group, next_id
        else
          next_state = '- 0 0\nw ' .. next_id .. ' ' .. begun .. ' - - - 0 ' .. ms .. ' - - ' .. queue
        end
      else
        redis_call('HDEL', groups, group)
      end
      if waits_in then
        local state = '- 0 0\nr ' .. taken .. ' ' .. drawn .. ' ' .. begun .. ' - - ' .. lost .. ' ' .. ms .. ' '
          .. who .. ' ' .. waits_in
        if next_state then
          redis_call('HSET', groups, group, next_state, of, state)
        else
          redis_call('HSET', groups, of, state)
        end
      elseif next_state then
        redis_call('HSET', groups, group, next_state)
      end
      if item and not own then
        redis_call('ZADD', KEYS[5], '0', queue .. ' ' .. begun .. ' ' .. group)
        redis_call('LPUSH', list, '{"properties": {"delivery_tag": "' .. words .. '", "delivery_info": {'
          .. sub(text, at, at + cut - 1) .. '"headers": {"groupfifo": "' .. words .. '", '
          .. sub(text, at + cut))
      end
      local blank = find(who, ' ', 1, true)
      local words_said = sub(who, blank + 1) .. ' ' .. (taken and of .. ' ' .. taken or '- -') .. ' -'
      local new = redis_call('HSET', KEYS[11], ARGV[7], words_said) == 1 -- see keep_lane
      if new then
        redis_call('PERSIST', KEYS[11])
      end
      if new or find(take, '+', 6, true) then
        redis_call('ZADD', KEYS[3], ms + string.match(take, '%d+'), 'w ' .. sub(who, 1, blank - 1))
      end
      if own then
        return { message, words }
      end
      return { waits_in and message or '', waits_in and begun or 0 }
    end
    if item then
      redis_call('LPUSH', line, item)
    end
  end
end
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
local function digits(value)
  return string.format('%.0f', value)
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
-- Returns the record of an entry under way; nothing when it is not.
local function record_of(g, id)
  local found
  for at = 1, #g do
    found = g[at].id == id and g[at] or found
  end
  return found
end
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
        local state_text_6
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_6 = text
        end
        local text = state_text_6
        if other then
          local state_text_7
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_7 = text
          end
          local other_text = state_text_7
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
  local read_ordinary_9
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
    read_ordinary_9 = groups[group] or read_group(group)
  end
  local g = read_ordinary_9
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
        local state_text_6
        do -- state_text(g)
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_6 = text
        end
        local text = state_text_6
        if other then
          local state_text_7
          do -- state_text(other_g)
            local g = other_g
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_7 = text
          end
          local other_text = state_text_7
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
local function compose(id, entry, drawn, lost)
  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
  local cut = entry.at + entry.cut
  return TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
end
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
local STALE = 20 -- stale tickets that one call may drop
local OWN = true
local REDELIVERED = '"redelivered": true, '
local steps = 100 -- empty places that one call may walk over
local MOST = 20 -- members that one call looks at

local line, runs, id, group, lane = KEYS[10], KEYS[11], ARGV[3], ARGV[4], ARGV[7]
local release_of, fence, losses = string.match(ARGV[5], '^(%d+) (%d+) %- %- (%d+)$')
local owner, call = string.match(ARGV[6], '^(%S+) (%S+)$')
local take, extends, ttl = string.match(ARGV[8], '^(%l+)(%+?) (%d+)$')

local lists_of_50
do -- lists_of(12, ARGV[9])
  local key, names = 12, ARGV[9]
  local lists = {}
  for name in string.gmatch(names, '%S+') do
    lists[name] = KEYS[key]
    key = key + 1
  end
  lists_of_50 = lists
end
local lists = lists_of_50
local after, out = 10, {} -- where the continuation stands
local g = not ARGV[after] and open_ordinary(group, 'r', id, release_of, fence, losses) or open_group(group)
local running_49
do -- running(g, id, fence)
  local r = record_of(g, id)
  running_49 = r and r.state == 'r' and r.fence == fence and r or nil
end
local r = running_49
if not r then
  local lane_words_44, lane_words_45, lane_words_46, lane_words_47
  do -- lane_words(runs, lane)
    local said = redis_call('HGET', runs, lane) or redis_call('HGET', runs, 'a' .. lane)
    local call, group, id, due = string.match(said or '', '^(%S+) (%S+) (%S+) (%S+)$')
    lane_words_44, lane_words_45, lane_words_46, lane_words_47 = call, group, id, due
  end
  local before, of, taken, at = lane_words_44, lane_words_45, lane_words_46, lane_words_47
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due = at ~= '-' and math.max(tonumber(at) - now_ms(), 0) or -1
  local taken_again_56, taken_again_57
  do -- taken_again(of, taken, owner, call)
    local group, id = of, taken
    local r, entry = record_of(open_group(group), id), read_entry(id)
    local message, begun = '', 0
    if r and entry and r.state == 'r' and r.owner == owner and r.call == call then
      message, begun = compose(id, entry, r.release, r.lost), r.fence
    end
    taken_again_56, taken_again_57 = message, begun
  end
  local message, begun = taken_again_56, taken_again_57
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

local end_run_66, end_run_67, end_run_68, end_run_69
do -- end_run(lists, line, group, g, r, after, out)
  local arg = after
  local due, head, entry, held = -1, nil, nil, nil
  if r.due ~= '-' or ARGV[arg] then
    local take_continuation_65
    do -- take_continuation(group, r, arg)
      do -- free_group(group)
        redis_call('HDEL', K_groups, group)
      end
      redis_call('HINCRBY', K_stats, 'runs_continued', 1)
      if ARGV[arg] then
        do -- store_continuation(group, r, ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3])
          local queue, cut, message, delay = ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3]
          local text = redis_call('HGET', K_entries, r.id) or ''
          local parked, limits = string.match(text, '^(%d+) %S+ %S+ %d+([^\n]*)\n')
          local head = table.concat({ parked or K_us_text, group, queue, cut }, ' ') .. (limits or '')
          redis_call('HSET', K_entries, r.id, head .. '\n' .. message)
          r.due = digits(now_ms() + delay)
        end
        redis_call('HINCRBY', K_stats, 'tasks_held', 1)
      end
      take_continuation_65 = math.max(tonumber(r.due) - now_ms(), 0)
    end
    due = take_continuation_65
  else
    -- The first write frees memory: a full Redis refuses others, but nothing that follows it.
    redis_call('HDEL', K_entries, r.id)
    redis_call('HINCRBY', K_stats, 'tasks_finished', 1)
  end
  if g.flags ~= '-' then
    do -- note_begin(group, g, r)
      if has_flag(g, 's') and r.state == 'r' and r.stop ~= 'f' then
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
              local counted_begins_16, counted_begins_17, counted_begins_18
              do -- counted_begins(of)
                local group = of
                local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                local begins = {}
                for ms in string.gmatch(times or '', '%d+') do
                  begins[#begins + 1] = tonumber(ms)
                end
                counted_begins_16, counted_begins_17, counted_begins_18 = begins, tonumber(starts or 0), tonumber(window or 0)
              end
              local begins, starts, window = counted_begins_16, counted_begins_17, counted_begins_18
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
  end
  if due >= 0 and not ARGV[arg + 4] then
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
          local state_text_6
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_6 = text
          end
          local text = state_text_6
          if other then
            local state_text_7
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_7 = text
            end
            local other_text = state_text_7
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
          local is_left_behind_59
          do -- is_left_behind(r.id)
            local id = r.id
            local stands_for_32, stands_for_33
            do -- stands_for(id)
              local of, name
              if string.find(id, ';k', 1, true) then
                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
              end
              stands_for_32, stands_for_33 = of, name
            end
            local _, name = stands_for_32, stands_for_33
            local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
            is_left_behind_59 = name and not said or said == '!'
          end
          left = is_left_behind_59
        end
        if entry and not left then
          do -- release(lists, group, g, r, entry, out)
            local held
            if entry.limits ~= '' or g.flags ~= '-' then
              local hold_back_38
              do -- hold_back(group, g, r, entry)
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
                  local counted_begins_25, counted_begins_26, counted_begins_27
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_25, counted_begins_26, counted_begins_27 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local begins, starts, window = counted_begins_25, counted_begins_26, counted_begins_27
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
                    local stands_for_30, stands_for_31
                    do -- stands_for(r.id)
                      local id = r.id
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_30, stands_for_31 = of, name
                    end
                    local of, name = stands_for_30, stands_for_31
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
                local take_turn_40
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
                  take_turn_40 = waits
                end
                held = take_turn_40
              end
            end
            if held then
              do -- write_group(group, g)
                local other, other_g = nil, nil
                local state_text_6
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_6 = text
                end
                local text = state_text_6
                if other then
                  local state_text_7
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_7 = text
                  end
                  local other_text = state_text_7
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
                  local state_text_6
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_6 = text
                  end
                  local text = state_text_6
                  if other then
                    local state_text_7
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_7 = text
                    end
                    local other_text = state_text_7
                    redis_call('HSET', K_groups, group, text, other, other_text)
                  else
                    redis_call('HSET', K_groups, group, text)
                  end
                end
                local message = compose(r.id, entry, drawn, r.lost)
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
                  local state_text_6
                  do -- state_text(g)
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_6 = text
                  end
                  local text = state_text_6
                  if other then
                    local state_text_7
                    do -- state_text(other_g)
                      local g = other_g
                      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                      for at = 1, #g do
                        local r = g[at]
                        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                      end
                      state_text_7 = text
                    end
                    local other_text = state_text_7
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
            local state_text_6
            do -- state_text(g)
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_6 = text
            end
            local text = state_text_6
            if other then
              local state_text_7
              do -- state_text(other_g)
                local g = other_g
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_7 = text
              end
              local other_text = state_text_7
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
      if not has_flag(g, 'b') then -- else another one has opened the breaker meanwhile
        do -- drop_mark(g, 'o')
          local letter = 'o'
          g.flags = string.gsub(g.flags, letter, '', 1)
          g.flags = g.flags == '' and '-' or g.flags
        end
      end
      do -- end_entry(r.id, group, g)
        local id = r.id
        do -- free_identity(id, group, g, true)
          local ran = true
          local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
          local after, identity = string.match(said or '', '^(%d+) (.*)$')
          if identity then
            local field = 'i ' .. group .. ' ' .. identity
            local others_of_58
            do -- others_of(field, id)
              local others = ''
              local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
              for name in string.gmatch(names or '', '%S+') do
                others = others .. (name == id and '' or ' ' .. name)
              end
              others_of_58 = others
            end
            local others = others_of_58
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
                local state_text_6
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_6 = text
                end
                local text = state_text_6
                if other then
                  local state_text_7
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_7 = text
                  end
                  local other_text = state_text_7
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
    end
    do -- remove_record(g, r.id)
      local id = r.id
      for at = #g, 1, -1 do
        if g[at].id == id then
          table.remove(g, at)
        end
      end
    end
    local take_head_63, take_head_64
    do -- take_head(line, group, g)
      local head, entry, corrupt
      if g[1] then
        local take_follower_61, take_follower_62
        do -- take_follower(line, g)
          local head, entry
          local free = not has_flag(g, 'p')
          for _, r in ipairs(g) do
            free = free and r.stop == 'f'
          end
          while free and g[1] and not head do
            local found, corrupt = read_entry(g[1].id)
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
          take_follower_61, take_follower_62 = head, entry
        end
        head, entry = take_follower_61, take_follower_62
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
        entry, corrupt = read_entry(id)
        local stands, left = entry and entry.us == string.sub(item, 1, 16), false
        if stands and has_flag(g, 'k') then
          local is_left_behind_60
          do -- is_left_behind(id)
            local stands_for_32, stands_for_33
            do -- stands_for(id)
              local of, name
              if string.find(id, ';k', 1, true) then
                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
              end
              stands_for_32, stands_for_33 = of, name
            end
            local _, name = stands_for_32, stands_for_33
            local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
            is_left_behind_60 = name and not said or said == '!'
          end
          left = is_left_behind_60
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
              local limits_of_28
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
                limits_of_28 = limits
              end
              local limits = limits_of_28
              may_join_37 = (limits.together or 1) > others
            end
            fits = may_join_37
          end
          if not fits then
            redis_call('LPUSH', line, item)
          else
            local new_record_10
            do -- new_record(id, entry.queue)
              local queue = entry.queue
              new_record_10 = {
                state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
                call = '-', queue = queue,
              }
            end
            head = new_record_10
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
                local state_text_6
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_6 = text
                end
                local text = state_text_6
                if other then
                  local state_text_7
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_7 = text
                  end
                  local other_text = state_text_7
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
        local depth_of_11
        do -- depth_of(line, g)
          depth_of_11 = redis_call('LLEN', line) - g.empty + g.aside + #g
        end
        local depth = depth_of_11
        g.drained = depth <= 0
      end
      take_head_63, take_head_64 = head, entry
    end
    head, entry = take_head_63, take_head_64
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
        if g.ended and not string.find(g.flags, '[^finoswkv-]') then -- these marks end with the last entry
          redis_call('HDEL', K_groups, group)
          if has_flag(g, 's') then
            do -- forget_begins(group)
              local counted_begins_22, counted_begins_23, counted_begins_24
              do -- counted_begins(group)
                local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                local begins = {}
                for ms in string.gmatch(times or '', '%d+') do
                  begins[#begins + 1] = tonumber(ms)
                end
                counted_begins_22, counted_begins_23, counted_begins_24 = begins, tonumber(starts or 0), tonumber(window or 0)
              end
              local _, _, window = counted_begins_22, counted_begins_23, counted_begins_24
              redis_call('ZADD', K_due, K_REST + now_ms() + window, 't ' .. group)
            end
          end
        else
          do -- write_group(group, g)
            local other, other_g = nil, nil
            local state_text_6
            do -- state_text(g)
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_6 = text
            end
            local text = state_text_6
            if other then
              local state_text_7
              do -- state_text(other_g)
                local g = other_g
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_7 = text
              end
              local other_text = state_text_7
              redis_call('HSET', K_groups, group, text, other, other_text)
            else
              redis_call('HSET', K_groups, group, text)
            end
          end
        end
      end
    elseif entry.limits ~= '' or g.flags ~= '-' then
      local hold_back_39
      do -- hold_back(group, g, head, entry)
        local r = head
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
          local counted_begins_25, counted_begins_26, counted_begins_27
          do -- counted_begins(group)
            local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
            local begins = {}
            for ms in string.gmatch(times or '', '%d+') do
              begins[#begins + 1] = tonumber(ms)
            end
            counted_begins_25, counted_begins_26, counted_begins_27 = begins, tonumber(starts or 0), tonumber(window or 0)
          end
          local begins, starts, window = counted_begins_25, counted_begins_26, counted_begins_27
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
            local stands_for_30, stands_for_31
            do -- stands_for(r.id)
              local id = r.id
              local of, name
              if string.find(id, ';k', 1, true) then
                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
              end
              stands_for_30, stands_for_31 = of, name
            end
            local of, name = stands_for_30, stands_for_31
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
        hold_back_39 = free_at or awaits
      end
      held = hold_back_39
      if not held then
        local take_turn_41
        do -- take_turn(group, g, head, entry)
          local r = head
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
          take_turn_41 = waits
        end
        local waits = take_turn_41
        held = waits and 0 or nil
      end
    end
  end
  end_run_66, end_run_67, end_run_68, end_run_69 = due, head, entry, held
end
local due, head, entry, held = end_run_66, end_run_67, end_run_68, end_run_69
local due_text = due >= 0 and digits(now_ms() + due) or '-'
local code, taken, message, begun, of, other = 1, nil, nil, nil, nil, nil
if take == 'lists' then
  local begin_next_51, begin_next_52, begin_next_53, begin_next_54, begin_next_55
  do -- begin_next(12, lists, owner, call, head and not held and entry.queue)
    local key, own = 12, head and not held and entry.queue
    local taken, message, begun, of, g
    local at, dropped, front = 0, 0, '{"properties": {"delivery_tag": "gf ' .. K_tag .. ' '
    while KEYS[key + at] do
      local text = redis.pcall('RPOP', KEYS[key + at])
      if type(text) ~= 'string' then -- empty, or no list
        if text == false and own and lists[own] == KEYS[key + at] then
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
        local begin_run_48
        do -- begin_run(group, g, id, drawn, owner, call, noted)
          local drawn = drawn
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
            fence = draw_number_4
            do -- start_run(r, fence, owner, call)
              r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
            end
          end
          begin_run_48 = fence
        end
        begun = begin_run_48
        if begun then
          taken, message, of = id, text, group
          break
        end
        dropped, g = dropped + 1, nil
      end
    end
    begin_next_51, begin_next_52, begin_next_53, begin_next_54, begin_next_55 = taken, message, begun, of, of and g
  end
  taken, message, begun, of, other = begin_next_51, begin_next_52, begin_next_53, begin_next_54, begin_next_55
end
local own = head and (taken == OWN or take == 'own')
if own and take == 'own' and g.flags ~= '-' then
  local may_begin_42
  do -- may_begin(entry)
    local fair = string.find(entry.limits, '^ f')
    may_begin_42 = not fair
      or redis_call('ZLEXCOUNT', K_on_the_way, '[' .. entry.queue .. ' ', '(' .. entry.queue .. ' \127') == 0
  end
  own = may_begin_42
end
if held then
  if held > 0 then
    code, due = 3, held - now_ms()
  end
  do -- write_group(group, g, of, other)
    local other, other_g = of, other
    local state_text_6
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_6 = text
    end
    local text = state_text_6
    if other then
      local state_text_7
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_7 = text
      end
      local other_text = state_text_7
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
elseif own then -- it is the next one: begun without going through the broker
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
  begun = draw_number_5
  head.release = begun
  do -- start_run(head, begun, owner, call)
    local r, fence = head, begun
    r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K_ms_text, owner, call
  end
  do -- write_group(group, g)
    local other, other_g = nil, nil
    local state_text_6
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_6 = text
    end
    local text = state_text_6
    if other then
      local state_text_7
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_7 = text
      end
      local other_text = state_text_7
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
  taken, message, of, other = head.id, compose(head.id, entry, begun, head.lost), group, g
elseif head then
  do -- send_out(lists, group, g, head, entry, out, begun, of, other)
    local r, drawn, other, other_g = head, begun, of, other
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
      local state_text_6
      do -- state_text(g)
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_6 = text
      end
      local text = state_text_6
      if other then
        local state_text_7
        do -- state_text(other_g)
          local g = other_g
          local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
          for at = 1, #g do
            local r = g[at]
            text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
              .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
          end
          state_text_7 = text
        end
        local other_text = state_text_7
        redis_call('HSET', K_groups, group, text, other, other_text)
      else
        redis_call('HSET', K_groups, group, text)
      end
    end
    local message = compose(r.id, entry, drawn, r.lost)
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
elseif begun then
  do -- write_group(of, other)
    local group, g, other, other_g = of, other, nil, nil
    local state_text_6
    do -- state_text(g)
      local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
      for at = 1, #g do
        local r = g[at]
        text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
          .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
      end
      state_text_6 = text
    end
    local text = state_text_6
    if other then
      local state_text_7
      do -- state_text(other_g)
        local g = other_g
        local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
        for at = 1, #g do
          local r = g[at]
          text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
            .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
        end
        state_text_7 = text
      end
      local other_text = state_text_7
      redis_call('HSET', K_groups, group, text, other, other_text)
    else
      redis_call('HSET', K_groups, group, text)
    end
  end
end
if freed then -- behind the group's own head: both wait for their turns since this step
  do -- next_turns(lists, freed, out)
    local of, again = freed, nil
    local from, to = '[' .. ROW .. of .. ' ', '(' .. ROW .. of .. ' \127'
    local names, more = '', true
    for _ = 1, MOST do
      local member = more and redis_call('ZRANGEBYLEX', K_on_the_way, from, to, 'LIMIT', 0, 1)[1]
      if not member then
        break
      end
      local drawn, group, id = string.match(member, ' (%d+) (%S+) (%S+)$')
      local g = open_group(group)
      local r, entry = record_of(g, id), read_entry(id)
      local weight = entry and string.match(entry.limits, '^ f(%d+)/')
      local count = redis_call('ZLEXCOUNT', K_on_the_way, '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127')
      if not r or r.stop ~= 't' or r.release ~= drawn then -- it has left
        redis_call('ZREM', K_on_the_way, member)
      elseif not weight then -- unreadable: the sweep sets it aside
        redis_call('ZREM', K_on_the_way, member)
        r.stop = '-'
        do -- write_group(group, g)
          local other, other_g = nil, nil
          local state_text_6
          do -- state_text(g)
            local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
            for at = 1, #g do
              local r = g[at]
              text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
            end
            state_text_6 = text
          end
          local text = state_text_6
          if other then
            local state_text_7
            do -- state_text(other_g)
              local g = other_g
              local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
              for at = 1, #g do
                local r = g[at]
                text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                  .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
              end
              state_text_7 = text
            end
            local other_text = state_text_7
            redis_call('HSET', K_groups, group, text, other, other_text)
          else
            redis_call('HSET', K_groups, group, text)
          end
        end
        redis_call('ZADD', K_due, K_HOLDS + now_ms(), 'h ' .. group .. ' ' .. id)
      elseif count < tonumber(weight) then
        r.state, r.stop = 'w', '-' -- its turn has come
        do -- release(lists, group, g, r, entry, out)
          local held
          if entry.limits ~= '' or g.flags ~= '-' then
            local hold_back_38
            do -- hold_back(group, g, r, entry)
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
                local counted_begins_25, counted_begins_26, counted_begins_27
                do -- counted_begins(group)
                  local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                  local begins = {}
                  for ms in string.gmatch(times or '', '%d+') do
                    begins[#begins + 1] = tonumber(ms)
                  end
                  counted_begins_25, counted_begins_26, counted_begins_27 = begins, tonumber(starts or 0), tonumber(window or 0)
                end
                local begins, starts, window = counted_begins_25, counted_begins_26, counted_begins_27
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
                  local stands_for_30, stands_for_31
                  do -- stands_for(r.id)
                    local id = r.id
                    local of, name
                    if string.find(id, ';k', 1, true) then
                      of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                    end
                    stands_for_30, stands_for_31 = of, name
                  end
                  local of, name = stands_for_30, stands_for_31
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
              local take_turn_40
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
                take_turn_40 = waits
              end
              held = take_turn_40
            end
          end
          if held then
            do -- write_group(group, g)
              local other, other_g = nil, nil
              local state_text_6
              do -- state_text(g)
                local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                for at = 1, #g do
                  local r = g[at]
                  text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                    .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                end
                state_text_6 = text
              end
              local text = state_text_6
              if other then
                local state_text_7
                do -- state_text(other_g)
                  local g = other_g
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_7 = text
                end
                local other_text = state_text_7
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
                local state_text_6
                do -- state_text(g)
                  local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                  for at = 1, #g do
                    local r = g[at]
                    text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                      .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                  end
                  state_text_6 = text
                end
                local text = state_text_6
                if other then
                  local state_text_7
                  do -- state_text(other_g)
                    local g = other_g
                    local text = g.flags .. ' ' .. g.aside .. ' ' .. g.empty
                    for at = 1, #g do
                      local r = g[at]
                      text = text .. '\n' .. r.state .. ' ' .. r.id .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.due .. ' ' .. r.stop
                        .. ' ' .. r.lost .. ' ' .. r.since .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.queue
                    end
                    state_text_7 = text
                  end
                  local other_text = state_text_7
                  redis_call('HSET', K_groups, group, text, other, other_text)
                else
                  redis_call('HSET', K_groups, group, text)
                end
              end
              local message = compose(r.id, entry, drawn, r.lost)
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
        names, more = names .. ' ' .. id, r.state == 'h' or count + 1 < tonumber(weight)
        if r.state == 'h' then -- its rate holds it back now
          redis_call('ZREM', K_on_the_way, member)
        end
      else
        more = false
      end
    end
    if redis_call('ZLEXCOUNT', K_on_the_way, from, to) == 0 then
      redis_call('ZREM', K_due, 'f ' .. of)
    elseif more then
      redis_call('ZADD', K_due, K_REST + now_ms(), 'f ' .. of)
    elseif again then
      do -- look_later(of)
        redis_call('ZADD', K_due, K_REST + (math.floor(now_ms() / LOOK) + 1) * LOOK, 'f ' .. of)
      end
    end
  end
end
local needs_sweep_34
do -- needs_sweep()
  needs_sweep_34 = soon
end
local sweeps = needs_sweep_34
if sweeps then
  code, due = 3, 0
end
if extends == '+' then
  redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
end
do -- keep_lane(runs, lane, call .. ' ' .. (of or '-') .. ' ' .. (taken or '-') .. ' ' .. due_text, owner, ttl)
  local said = call .. ' ' .. (of or '-') .. ' ' .. (taken or '-') .. ' ' .. due_text
  if redis_call('HSET', runs, lane, said) == 1 then
    redis_call('PERSIST', runs)
    redis_call('ZADD', K_due, now_ms() + ttl, 'w ' .. owner)
  end
end
local more = 0
if other and other.flags ~= '-' then
  local invite_70
  do -- invite(of, other)
    local group, g = of, other
    local code = 0
    if has_flag(g, 'n') then
      redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
      code = 4
    end
    invite_70 = code
  end
  more = invite_70
end
return { code + more, message or '', begun or 0, due, unpack(out) }
