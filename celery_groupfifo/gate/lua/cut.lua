-- Made of lua/cut.lua by `make scripts`: change that file, not this one.
--
-- cut: cut what does not run off groups, so that it never starts, and say what was cut off; many groups in a call. The
-- caller reads the entries by itself, as each text that comes into a script costs it microseconds. See cancel.lua.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] wake     (list)   wakes one sweeping worker: a tenant's next head may go out
-- KEYS[12-] lines   (list)   of each group its line, and the part that is cut off it
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] bound     (us)     entries parked later are left; 0: nothing is cut off, only read
-- ARGV[5] claim     (ms)     how long the parts are left to the caller
-- ARGV[6] limit     (count)  places that are moved or read
-- ARGV[7-] group, fence, names   of each group; of the part; of entries that wait for an ETA, with blanks between
-- Returns {noted, places, [queue, message]...}: 1 when something was cut off · "<count> <code> <failed>" of each group,
--         and below it its first places; the caller calls again with the other groups; see cutting.py for the code;
--         heads that had failed, and are gone · to publish
-- Complexity O(limit · log groups)
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
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
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
  local read_group_8
  do -- read_group(group)
    local g = groups[group]
    if not g then
      local group_text_7
      do -- group_text(group)
        texts[group] = texts[group] or redis_call('HGET', K_groups, group) or ''
        group_text_7 = texts[group]
      end
      local text = group_text_7
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
    read_group_8 = g
  end
  local g = read_group_8
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
local soon = false -- a sweep has something to do now
local FAR = 3600000 -- ms: no time says when a task has its other places
local OUT, ROW = '\127o ', '\127w '
local LOOK = 10000 -- ms until a sweep looks at a tenant's row that nothing has moved; all rows at the same time
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'
local steps = 100 -- empty places that one call may walk over
local KEPT = 1000 -- actions that are remembered
-- Returns the text of an entry that stands at its place in the line, also of an unreadable one; else nothing.
local function text_in_line(us, id)
  local entry, corrupt = read_entry(id)
  return entry and entry.us == us and entry.text or corrupt
end
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
local BELL = 5000 -- ms that a bell waits for a worker
-- Returns whether an entry of a group has failed, and blocks it.
local function is_blocked(g)
  local found = false
  for _, r in ipairs(g) do
    found = found or r.stop == 'b'
  end
  return found
end
local later = { entries = {}, parts = {}, ends = {}, states = {}, due = {}, undue = {}, tickets = {} }
local function each_later(command, key, list)
  if #list > 0 then
    return redis_call(command, key, unpack(list))
  end
  return 0
end

local audit, wake = KEYS[10], KEYS[11]
local bound, claim, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local places, out, done, cut, due_at = {}, {}, 0, 0, K_REST + now_ms() + claim
if bound > 0 then
  do -- read_states(7, 3)
    local first, step = 7, 3
    local names = {}
    for at = first, #ARGV, step do
      names[#names + 1] = ARGV[at]
    end
    local found = #names > 0 and redis_call('HMGET', K_groups, unpack(names)) or {}
    for at, name in ipairs(names) do
      rawset(texts, name, found[at] or '')
    end
  end
end
while 7 + 3 * done <= #ARGV and limit > 0 do
  local group, fence, names = ARGV[7 + 3 * done], ARGV[8 + 3 * done], ARGV[9 + 3 * done]
  local line, part = KEYS[12 + 2 * done], KEYS[13 + 2 * done]
  local member = 'd ' .. group .. ' ' .. fence
  local g, code, failed, items = open_group(group), 4, 0, nil
  if bound > 0 and names == '' then
    local cut_plainly_53
    do -- cut_plainly(line, part, group, g, member, bound, limit, due_at)
      local r, places = g[1], nil
      local head = r and r.state == 'w' and read_entry(r.id)
      if g.flags == '-' and g.aside == '0' and not g[2] and (not r or r.state == 'r' or head) then
        places = redis_call('LRANGE', line, 0, limit)
        local late = #places > limit or head and tonumber(head.us) > bound
        for i = 1, #places do
          late = late or tonumber(string.match(places[i], '^%d+') or 0) > bound
        end
        if late or #places > 0 and redis_call('RENAMENX', line, part) == 0 then
          places = nil
        end
      end
      if places then
        g.aside, g.empty = digits(#places - g.empty), '0'
        if head then
          table.insert(later.tickets, r.queue .. ' ' .. r.release .. ' ' .. group)
          table.insert(later.undue, 'r ' .. group .. ' ' .. r.id)
          table.insert(places, 1, head.us .. ' ' .. r.id)
          redis_call('LPUSH', part, places[1])
          g[1] = nil
          do -- add_to(g, 'aside', 1)
            local what, number = 'aside', 1
            g[what] = string.format('%.0f', math.max(g[what] + number, 0))
          end
        end
        if #places > 0 then
          do -- add_mark(g, 'c')
            local letter = 'c'
            g.flags = (g.flags == '-' and '' or g.flags) .. letter
          end
          table.insert(later.due, due_at)
          table.insert(later.due, member)
          do -- write_later(group, g)
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
            table.insert(later.states, group)
            table.insert(later.states, text)
          end
        end
      end
      cut_plainly_53 = places
    end
    items = cut_plainly_53
  end
  if items then
    code, cut, limit = 0, cut + #items, limit - #items - 1
  elseif bound == 0 or not has_flag(g, 'k') then
    local moved, more = 0, false
    if bound > 0 then
      local cut_line_46, cut_line_47
      do -- cut_line(line, part, g, limit, bound)
        local length, moved, more = redis_call('LLEN', line), 0, false
        local late = length > limit and tonumber(string.match(redis_call('LINDEX', line, -1), '^%d+') or 0) > bound
        for _, item in ipairs(length > limit and {} or redis_call('LRANGE', line, 0, -1)) do
          late = late or tonumber(string.match(item, '^%d+') or 0) > bound
        end
        local known = length > 0 and redis_call('EXISTS', part) == 1
        if length > 0 and not late and not known then
          redis_call('RENAME', line, part)
          moved = length - g.empty
          g.empty = '0'
          do -- add_to(g, 'aside', moved)
            local what, number = 'aside', moved
            g[what] = string.format('%.0f', math.max(g[what] + number, 0))
          end
          length = 0
        end
        for step = 1, length do
          local item = redis_call('LPOP', line)
          local us, id = string.match(item, '^(%d+) (.*)$')
          if us and tonumber(us) > bound then
            redis_call('LPUSH', line, item)
            break
          end
          if text_in_line(us, id or '') then
            redis_call('RPUSH', part, item)
            do -- add_to(g, 'aside', 1)
              local what, number = 'aside', 1
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
            moved = moved + 1
          else
            do -- add_to(g, 'empty', -1)
              local what, number = 'empty', -1
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
          end
          if step == limit and step < length then
            more = true
            break
          end
        end
        cut_line_46, cut_line_47 = moved, more
      end
      moved, more = cut_line_46, cut_line_47
    end
    if bound > 0 and not more then -- the head comes last: otherwise the next entry would go out
      local cut_heads_50, cut_heads_51
      do -- cut_heads(part, group, g, bound)
        local heads, failed = 0, 0
        for at = #g, 1, -1 do
          local r = g[at]
          local entry = r.state ~= 'r' and read_entry(r.id)
          if entry and tonumber(entry.us) <= bound then
            if r.stop == 'b' then
              do -- withdraw(r.id, group, g)
                local id = r.id
                local of, name, at, left = group, id, g, false
                if has_flag(g, 'k') then
                  local is_left_behind_43
                  do -- is_left_behind(id)
                    local stands_for_29, stands_for_30
                    do -- stands_for(id)
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_29, stands_for_30 = of, name
                    end
                    local _, name = stands_for_29, stands_for_30
                    local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
                    is_left_behind_43 = name and not said or said == '!'
                  end
                  left = is_left_behind_43
                  local stands_for_31, stands_for_32
                  do -- stands_for(id)
                    local of, name
                    if string.find(id, ';k', 1, true) then
                      of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                    end
                    stands_for_31, stands_for_32 = of, name
                  end
                  local its, known = stands_for_31, stands_for_32
                  if known and not left then
                    of, name, at = its, known, open_group(its)
                  end
                end
                local r, text = record_of(at, name), redis_call('HGET', K_entries, name)
                local failed = r and r.stop == 'b'
                if r and has_flag(at, 'f') then
                  do -- leave_turn(of, r)
                    local group = of
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
                local stays = name ~= id and not r and has_flag(at, 'c') -- its place may be cut off
                if left then
                  text = nil
                  do -- remove_left(id)
                    local known = redis_call('HDEL', K_entries, id)
                    if string.find(id, ';k', 1, true) then
                      redis_call('HINCRBY', K_stats, 'stand_ins', -known)
                    else
                      redis_call('HINCRBY', K_stats, 'tasks_removed', known)
                      redis_call('HDEL', K_begins, 'k ' .. id)
                    end
                  end
                elseif not stays and redis_call('HDEL', K_entries, name) == 1 then
                  redis_call('HINCRBY', K_stats, 'tasks_removed', 1)
                end
                do -- free_identity(name, of, at, failed)
                  local id, group, g, ran = name, of, at, failed
                  local said = has_flag(g, 'i') and redis_call('HGET', K_identities, 'n ' .. id)
                  local after, identity = string.match(said or '', '^(%d+) (.*)$')
                  if identity then
                    local field = 'i ' .. group .. ' ' .. identity
                    local others_of_41
                    do -- others_of(field, id)
                      local others = ''
                      local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
                      for name in string.gmatch(names or '', '%S+') do
                        others = others .. (name == id and '' or ' ' .. name)
                      end
                      others_of_41 = others
                    end
                    local others = others_of_41
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
                if redis_call('ZREM', K_due, 'e ' .. of .. ' ' .. name) == 1 then
                  do -- leave_window(of, at, name)
                    local group, g, id = of, at, name
                    local said = has_flag(g, 'w') and redis_call('HGET', K_begins, 'o ' .. id)
                    local order, window = string.match(said or '', '^(%d+ %d+) (%d+)$')
                    if order then
                      redis_call('HDEL', K_begins, 'o ' .. id)
                      redis_call('ZREM', K_due, 's ' .. group .. ' ' .. order .. ' ' .. id)
                    end
                  end
                  do -- add_to(at, 'aside', -1)
                    local g, what, number = at, 'aside', -1
                    g[what] = string.format('%.0f', math.max(g[what] + number, 0))
                  end
                end
                if r then
                  redis_call('ZREM', K_due, 'h ' .. of .. ' ' .. name, 'r ' .. of .. ' ' .. name, 'b ' .. of .. ' ' .. name)
                  redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. of)
                  do -- remove_record(at, name)
                    local g, id = at, name
                    for at = #g, 1, -1 do
                      if g[at].id == id then
                        table.remove(g, at)
                      end
                    end
                  end
                end
                if failed then
                  do -- end_block(of, at, name)
                    local group, g, id = of, at, name
                    if is_blocked(g) then
                      local said_of_block_48, said_of_block_49
                      do -- said_of_block(group, id)
                        local mine, lines = '', {}
                        for line in string.gmatch(redis_call('HGET', K_flags, 'b ' .. group) or '', '[^\n]+') do
                          mine = string.find(line, '{"entry": "' .. id .. '", ', 1, true) == 1 and line or mine
                          lines[#lines + 1] = line
                        end
                        said_of_block_48, said_of_block_49 = mine, lines
                      end
                      local mine, lines = said_of_block_48, said_of_block_49
                      local rest = {}
                      for _, line in ipairs(lines) do
                        rest[#rest + 1] = line ~= mine and line or nil
                      end
                      redis_call('HSET', K_flags, 'b ' .. group, table.concat(rest, '\n'))
                    else
                      do -- clear_flag(group, g, 'b')
                        local letter = 'b'
                        redis_call('HDEL', K_flags, letter .. ' ' .. group)
                        do -- drop_mark(g, letter)
                          g.flags = string.gsub(g.flags, letter, '', 1)
                          g.flags = g.flags == '' and '-' or g.flags
                        end
                      end
                      for _, r in ipairs(g) do
                        if r.stop == 'h' then
                          do -- look_soon(K_HOLDS, 'h ' .. group .. ' ' .. r.id)
                            local score, member = K_HOLDS, 'h ' .. group .. ' ' .. r.id
                            redis_call('ZADD', K_due, score + now_ms(), member)
                            soon = true
                          end
                        end
                      end
                    end
                  end
                elseif not left then
                  redis_call('HINCRBY', K_stats, 'tasks_revoked', 1)
                end
                if has_flag(g, 'k') then
                  do -- leave_places(name, id)
                    local by, ran = id, nil
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
                  if name ~= id then
                    do -- add_to(at, 'empty', not r and not stays and 1 or 0)
                      local g, what, number = at, 'empty', not r and not stays and 1 or 0
                      g[what] = string.format('%.0f', math.max(g[what] + number, 0))
                    end
                    do -- write_group(of, at)
                      local group, g, other, other_g = of, at, nil, nil
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
                  if stays then
                    redis_call('HSET', K_begins, 'k ' .. name, '!')
                  end
                end
              end
              failed = failed + 1
            else
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
                do -- look_now()
                  if freed then
                    redis_call('ZADD', K_due, K_REST + now_ms(), 'f ' .. freed)
                  end
                end
              end
              redis_call('ZREM', K_due, 'h ' .. group .. ' ' .. r.id, 'r ' .. group .. ' ' .. r.id)
              redis_call('ZREM', K_on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
              do -- remove_record(g, r.id)
                local id = r.id
                for at = #g, 1, -1 do
                  if g[at].id == id then
                    table.remove(g, at)
                  end
                end
              end
              redis_call('LPUSH', part, entry.us .. ' ' .. r.id)
              do -- add_to(g, 'aside', 1)
                local what, number = 'aside', 1
                g[what] = string.format('%.0f', math.max(g[what] + number, 0))
              end
              heads = heads + 1
            end
          end
        end
        cut_heads_50, cut_heads_51 = heads, failed
      end
      local heads, gone = cut_heads_50, cut_heads_51
      local cut_scheduled_52
      do -- cut_scheduled(part, group, g, names, bound)
        local due = 0
        for name in string.gmatch(names, '%S+') do
          local entry = read_entry(name)
          if entry and tonumber(entry.us) <= bound and redis_call('ZREM', K_due, 'e ' .. group .. ' ' .. name) == 1 then
            do -- leave_window(group, g, name)
              local id = name
              local said = has_flag(g, 'w') and redis_call('HGET', K_begins, 'o ' .. id)
              local order, window = string.match(said or '', '^(%d+ %d+) (%d+)$')
              if order then
                redis_call('HDEL', K_begins, 'o ' .. id)
                redis_call('ZREM', K_due, 's ' .. group .. ' ' .. order .. ' ' .. id)
              end
            end
            redis_call('RPUSH', part, entry.us .. ' ' .. name)
            due = due + 1
          end
        end
        cut_scheduled_52 = due
      end
      local due = cut_scheduled_52
      cut, failed = cut + heads + gone + due, gone
    end
    cut, limit = cut + moved, limit - (more and moved or 0)
    items = redis_call('LRANGE', part, 0, math.max(limit, 1))
    code = (more or #items > math.max(limit, 1)) and 1 or 0
    items[math.max(limit, 1) + 1] = nil
    limit = limit - #items - 1
    if #items > 0 then
      if redis_call('ZADD', K_due, due_at, member) == 1 then
        do -- add_mark(g, 'c')
          local letter = 'c'
          g.flags = (g.flags == '-' and '' or g.flags) .. letter
        end
      end
    elseif g.aside ~= '0' then
      code = code + 2
    end
    if more then
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
    elseif bound > 0 then
      do -- advance({}, line, group, g, out)
        local lists = {}
        local take_head_44, take_head_45
        do -- take_head(line, group, g)
          local head, entry, corrupt
          if g[1] then
            local take_follower_39, take_follower_40
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
              take_follower_39, take_follower_40 = head, entry
            end
            head, entry = take_follower_39, take_follower_40
          end
          local others = #g
          local has_room_34
          do -- has_room(g)
            local room = not has_flag(g, 'p') and (#g == 0 or has_flag(g, 'n'))
            for at = 1, room and #g or 0 do
              room = room and g[at].state ~= 'w' and g[at].stop == '-'
            end
            has_room_34 = room
          end
          local is_free = has_room_34
          is_free = is_free and not head
          local item = is_free and steps > 0 and redis_call('LPOP', line)
          while item do
            local id = string.sub(item, 18)
            entry, corrupt = read_entry(id)
            local stands, left = entry and entry.us == string.sub(item, 1, 16), false
            if stands and has_flag(g, 'k') then
              local is_left_behind_42
              do -- is_left_behind(id)
                local stands_for_29, stands_for_30
                do -- stands_for(id)
                  local of, name
                  if string.find(id, ';k', 1, true) then
                    of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                  end
                  stands_for_29, stands_for_30 = of, name
                end
                local _, name = stands_for_29, stands_for_30
                local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
                is_left_behind_42 = name and not said or said == '!'
              end
              left = is_left_behind_42
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
                local may_join_35
                do -- may_join(group, g, entry, others)
                  local limits_of_25
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
                    limits_of_25 = limits
                  end
                  local limits = limits_of_25
                  may_join_35 = (limits.together or 1) > others
                end
                fits = may_join_35
              end
              if not fits then
                redis_call('LPUSH', line, item)
              else
                local new_record_9
                do -- new_record(id, entry.queue)
                  local queue = entry.queue
                  new_record_9 = {
                    state = '', id = id, release = '', fence = '-', due = '-', stop = '-', lost = '0', since = '', owner = '-',
                    call = '-', queue = queue,
                  }
                end
                head = new_record_9
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
            local depth_of_10
            do -- depth_of(line, g)
              depth_of_10 = redis_call('LLEN', line) - g.empty + g.aside + #g
            end
            local depth = depth_of_10
            g.drained = depth <= 0
          end
          take_head_44, take_head_45 = head, entry
        end
        local head, entry = take_head_44, take_head_45
        if head then
          do -- release(lists, group, g, head, entry, out)
            local r = head
            local held
            if entry.limits ~= '' or g.flags ~= '-' then
              local hold_back_36
              do -- hold_back(group, g, r, entry)
                local limits_of_26
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
                  limits_of_26 = limits
                end
                local limits = limits_of_26
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
                  local counted_begins_22, counted_begins_23, counted_begins_24
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_22, counted_begins_23, counted_begins_24 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local begins, starts, window = counted_begins_22, counted_begins_23, counted_begins_24
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
                  local await_places_33
                  do -- await_places(r, entry)
                    local stands_for_27, stands_for_28
                    do -- stands_for(r.id)
                      local id = r.id
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_27, stands_for_28 = of, name
                    end
                    local of, name = stands_for_27, stands_for_28
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
                    await_places_33 = free_at
                  end
                  awaits = await_places_33
                end
                hold_back_36 = free_at or awaits
              end
              held = hold_back_36
              if not held then
                local take_turn_37
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
                  take_turn_37 = waits
                end
                held = take_turn_37
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
                local compose_38
                do -- compose(r.id, entry, drawn, r.lost)
                  local id, lost = r.id, r.lost
                  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                  local cut = entry.at + entry.cut
                  compose_38 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                end
                local message = compose_38
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
                  local counted_begins_19, counted_begins_20, counted_begins_21
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_19, counted_begins_20, counted_begins_21 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local _, _, window = counted_begins_19, counted_begins_20, counted_begins_21
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
    end
  end
  items = items or {}
  places[#places + 1] = #items .. ' ' .. code .. ' ' .. failed
  for i = 1, #items do
    places[#places + 1] = items[i]
  end
  done = done + 1
end
do -- write_all()
  local removed = each_later('HDEL', K_entries, later.entries)
  for _, part in ipairs(later.parts) do
    redis_call('DEL', part)
  end
  each_later('ZREM', K_due, later.undue)
  each_later('ZREM', K_on_the_way, later.tickets)
  each_later('ZADD', K_due, later.due)
  each_later('HSET', K_groups, later.states)
  each_later('HDEL', K_groups, later.ends)
  if removed > 0 then
    redis_call('HINCRBY', K_stats, 'tasks_removed', removed)
    redis_call('HINCRBY', K_stats, 'tasks_revoked', removed)
  end
end
if freed then
  do -- ring(wake)
    redis_call('LPUSH', wake, K_us_text)
    redis_call('LTRIM', wake, 0, 0)
    redis_call('PEXPIRE', wake, BELL)
  end
end
local newest = cut > 0 and redis_call('LINDEX', audit, 0) or ''
if cut > 0 and (tonumber(string.match(newest, '^%d+') or 0) < bound / 1000 or string.sub(newest, 15) ~= ARGV[3]) then
  do -- note(audit, ARGV[3])
    local text = ARGV[3]
    if text ~= '' then
      redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
      redis_call('LTRIM', audit, 0, KEPT - 1)
    end
  end
end
return { cut > 0 and 1 or 0, table.concat(places, '\n'), unpack(out) }
