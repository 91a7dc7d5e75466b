-- Made of lua/advance.lua by `make scripts`: change that file, not this one.
--
-- advance: let entries whose ETA has come, or whose window is over, join the lines of their groups, end blocks and
-- limits, let the next heads of tenants go out, and continue walks over empty places; many in one call.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] crowd    (zset)   members of due that wait for room, see lib/crowd.lua
-- KEYS[11-] line    (list)   of the group of each member
-- KEYS[..] lists    (list)   the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] many      (count)  members
-- ARGV[4] named     (count)  lists
-- ARGV[5-] queues   (text)   their names
-- ARGV[..] member, group     pairs: members of due and their groups
-- Returns {count, next, [queue, message]...}: of members that are done, from the first on; the caller calls again with
--         the others · ms until the next sweep (-1: as it has said) · to publish
-- Complexity O(members · log groups), and entries whose windows end with that of another
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
local K_CROWDS = 4e14
local K_WINDOWS = 6e14
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
local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
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
-- lists: queue -> key, from `count` keys and as many names.
local function named_lists(key, arg, count)
  local lists = {}
  for i = 0, count - 1 do
    lists[ARGV[arg + i]] = KEYS[key + i]
  end
  return lists
end
local steps = 100 -- empty places that one call may walk over
local ROOM = 200 -- tickets on their way in a queue that is served
local SERVED = 60000 -- ms since a begin, within which a queue counts as served; so does one whose list the caller gives
local SOON, LATER = 20, 250 -- ms until a queue is checked again: after some of its crowd came in, and after none did
local rooms, crowded, turned_away = {}, {}, false
-- Returns the score of a member of due that waits for room since a time: held heads can be counted in it.
local function crowd_score(member, ms)
  return K_CROWDS + (string.sub(member, 1, 1) == 'h' and 0 or 1e14) + ms
end
-- Take room for one more ticket, when no other waits for it. Without room the member of due joins the crowd.
local function take_room(crowd, lists, queue, member)
  local room_in_44
  do -- room_in(lists, queue)
    local room = rooms[queue]
    if not room then
      local at = string.match(redis_call('HGET', K_begins, queue) or '', '^%d+ (%d+)')
      local served = lists[queue] or at and now_ms() - at < SERVED
      local ahead = served and redis_call('ZLEXCOUNT', K_on_the_way, '[' .. queue .. ' ', '(' .. queue .. ' \127')
      room = ahead and ROOM - ahead or math.huge
    end
    rooms[queue] = room
    room_in_44 = room
  end
  local room = room_in_44
  if room > 0 and crowded[queue] == nil then
    crowded[queue] = redis_call('ZSCORE', K_due, 'q ' .. queue) and true or false
  end
  local found = room > 0 and not crowded[queue]
  local score = not found and tonumber(redis_call('ZSCORE', K_due, member) or 0)
  if found then
    rooms[queue] = room - 1
  elseif score < K_CROWDS then
    turned_away = true
    redis_call('ZADD', K_due, crowd_score(member, now_ms()), member)
    redis_call('ZADD', crowd, 0, queue .. ' ' .. K_ms_text .. ' ' .. member)
    redis_call('ZADD', K_due, 'NX', K_REST + now_ms() + SOON, 'q ' .. queue)
  end
  return found
end
local REDELIVERED = '"redelivered": true, '
local MARKED = 10 -- windows for which a mark is kept
-- Returns the members of due for the entries of a group that are in order before one; not more than so many.
local function waiting_before(group, said, most)
  local front, found = 's ' .. group .. ' ', {}
  redis_call('ZADD', K_due, K_WINDOWS, front) -- stands before those of the group, within this step
  local from, to = redis_call('ZRANK', K_due, front), redis_call('ZRANK', K_due, front .. said)
  if to and to > from + 1 then
    found = redis_call('ZRANGE', K_due, from + 1, math.min(to - 1, from + most))
  end
  redis_call('ZREM', K_due, front)
  return found
end
local freed = nil -- tenant with a row whose ticket this call has seen begin, or leave in another way
-- Returns whether an entry of a group has failed, and blocks it.
local function is_blocked(g)
  local found = false
  for _, r in ipairs(g) do
    found = found or r.stop == 'b'
  end
  return found
end
local MOST = 20 -- members that one call looks at
local AT_ONCE = 20 -- tickets that one call looks at

local BYTES = 262144 -- of messages that one call moves; and one message more
local WALK = 500 -- empty places that one call walks over, and entries that join before one
local many, named = tonumber(ARGV[3]), tonumber(ARGV[4])

local lists, out, told, bytes, done = named_lists(11 + many, 5, named), {}, {}, 0, 0
steps = WALK
while done < many and steps > 0 and bytes < BYTES do
  local line, arg = KEYS[11 + done], 5 + named + 2 * done
  local member, group = ARGV[arg], ARGV[arg + 1]
  local g = open_group(group)
  if string.sub(member, 1, 2) == 'f ' then
    do -- turn_again(lists, string.sub(member, 3), out)
      local of = string.sub(member, 3)
      local at = tonumber(redis_call('ZSCORE', K_due, 'f ' .. of) or 1e15)
      if at <= K_REST + now_ms() then
        do -- next_turns(lists, of, out, true)
          local of, again = of, true
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
              redis_call('ZADD', K_due, K_HOLDS + now_ms(), 'h ' .. group .. ' ' .. id)
            elseif count < tonumber(weight) then
              r.state, r.stop = 'w', '-' -- its turn has come
              do -- release(lists, group, g, r, entry, out)
                local held
                if entry.limits ~= '' or g.flags ~= '-' then
                  local hold_back_32
                  do -- hold_back(group, g, r, entry)
                    local limits_of_21
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
                      limits_of_21 = limits
                    end
                    local limits = limits_of_21
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
                      local counted_begins_17, counted_begins_18, counted_begins_19
                      do -- counted_begins(group)
                        local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                        local begins = {}
                        for ms in string.gmatch(times or '', '%d+') do
                          begins[#begins + 1] = tonumber(ms)
                        end
                        counted_begins_17, counted_begins_18, counted_begins_19 = begins, tonumber(starts or 0), tonumber(window or 0)
                      end
                      local begins, starts, window = counted_begins_17, counted_begins_18, counted_begins_19
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
                      local await_places_29
                      do -- await_places(r, entry)
                        local stands_for_22, stands_for_23
                        do -- stands_for(r.id)
                          local id = r.id
                          local of, name
                          if string.find(id, ';k', 1, true) then
                            of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                          end
                          stands_for_22, stands_for_23 = of, name
                        end
                        local of, name = stands_for_22, stands_for_23
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
                        await_places_29 = free_at
                      end
                      awaits = await_places_29
                    end
                    hold_back_32 = free_at or awaits
                  end
                  held = hold_back_32
                  if not held then
                    local take_turn_33
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
                      take_turn_33 = waits
                    end
                    held = take_turn_33
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
                    local compose_34
                    do -- compose(r.id, entry, drawn, r.lost)
                      local id, lost = r.id, r.lost
                      local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                      local cut = entry.at + entry.cut
                      compose_34 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                        .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                    end
                    local message = compose_34
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
      else
        local from, to = '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127'
        for _, member in ipairs(redis_call('ZRANGEBYLEX', K_on_the_way, from, to, 'LIMIT', 0, AT_ONCE)) do
          local find_record_13
          do -- find_record(string.match(member, '%S+$'))
            local id = string.match(member, '%S+$')
            local entry, found, g = read_entry(id), nil, nil
            if entry then
              g = open_group(entry.group)
              found = record_of(g, id)
            end
            find_record_13 = found
          end
          local r = find_record_13
          if r then
            do -- ask_again(lists, r, out)
              local entry = read_entry(r.id)
              if entry and r.state == 'w' and not lists[r.queue] then
                local compose_35
                do -- compose(r.id, entry, r.release, r.lost)
                  local id, drawn, lost = r.id, r.release, r.lost
                  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                  local cut = entry.at + entry.cut
                  compose_35 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                end
                local message = compose_35
                out[#out + 1] = r.queue
                out[#out + 1] = message
              end
            end
          end
        end
      end
    end
  elseif redis_call('ZREM', K_due, member) == 0 then -- done by another call, or by a repetition of this one
    if not told[group] then -- else it has joined before another one
      do -- heads_again(lists, g, out)
        for _, r in ipairs(g) do
          do -- ask_again(lists, r, out)
            local entry = read_entry(r.id)
            if entry and r.state == 'w' and not lists[r.queue] then
              local compose_35
              do -- compose(r.id, entry, r.release, r.lost)
                local id, drawn, lost = r.id, r.release, r.lost
                local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                local cut = entry.at + entry.cut
                compose_35 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                  .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
              end
              local message = compose_35
              out[#out + 1] = r.queue
              out[#out + 1] = message
            end
          end
        end
      end
    end
  else
    local kind, id = string.sub(member, 1, 1), string.match(member, '%S+$')
    local entry, corrupt
    local r = kind == 'b' and record_of(g, id)
    if r and r.stop == 'b' then -- it has failed for good, and its group waits no longer
      do -- lapse(group, g, id)
        local said_of_block_54
        do -- said_of_block(group, id)
          local mine, lines = '', {}
          for line in string.gmatch(redis_call('HGET', K_flags, 'b ' .. group) or '', '[^\n]+') do
            mine = string.find(line, '{"entry": "' .. id .. '", ', 1, true) == 1 and line or mine
            lines[#lines + 1] = line
          end
          said_of_block_54 = mine
        end
        local said = said_of_block_54
        local why = string.match(said, '"why": ("{.-}")')
        local withdraw_55
        do -- withdraw(id, group, g)
          local of, name, at, left = group, id, g, false
          if has_flag(g, 'k') then
            local is_left_behind_41
            do -- is_left_behind(id)
              local stands_for_24, stands_for_25
              do -- stands_for(id)
                local of, name
                if string.find(id, ';k', 1, true) then
                  of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                end
                stands_for_24, stands_for_25 = of, name
              end
              local _, name = stands_for_24, stands_for_25
              local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
              is_left_behind_41 = name and not said or said == '!'
            end
            left = is_left_behind_41
            local stands_for_26, stands_for_27
            do -- stands_for(id)
              local of, name
              if string.find(id, ';k', 1, true) then
                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
              end
              stands_for_26, stands_for_27 = of, name
            end
            local its, known = stands_for_26, stands_for_27
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
              local others_of_38
              do -- others_of(field, id)
                local others = ''
                local names = string.match(redis_call('HGET', K_identities, field) or '', '^%- (.*)$')
                for name in string.gmatch(names or '', '%S+') do
                  others = others .. (name == id and '' or ' ' .. name)
                end
                others_of_38 = others
              end
              local others = others_of_38
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
                local said_of_block_52, said_of_block_53
                do -- said_of_block(group, id)
                  local mine, lines = '', {}
                  for line in string.gmatch(redis_call('HGET', K_flags, 'b ' .. group) or '', '[^\n]+') do
                    mine = string.find(line, '{"entry": "' .. id .. '", ', 1, true) == 1 and line or mine
                    lines[#lines + 1] = line
                  end
                  said_of_block_52, said_of_block_53 = mine, lines
                end
                local mine, lines = said_of_block_52, said_of_block_53
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
          withdraw_55 = text or ''
        end
        local text = withdraw_55
        if why then
          do -- set_aside(id, group, cjson.decode('[' .. why .. ']')[1], text)
            local why = cjson.decode('[' .. why .. ']')[1]
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
      end
    elseif kind == 'l' and has_flag(g, 'l') then
      do -- clear_flag(group, g, 'l')
        local letter = 'l'
        redis_call('HDEL', K_flags, letter .. ' ' .. group)
        do -- drop_mark(g, letter)
          g.flags = string.gsub(g.flags, letter, '', 1)
          g.flags = g.flags == '' and '-' or g.flags
        end
      end
      do -- look_again(lists, group, g, out)
        for at = #g, 1, -1 do
          local r = g[at]
          if r.state == 'h' and r.stop == 'l' then
            redis_call('ZREM', K_due, 'h ' .. group .. ' ' .. r.id)
            r.due, r.stop = '-', '-'
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
                  local is_left_behind_40
                  do -- is_left_behind(r.id)
                    local id = r.id
                    local stands_for_24, stands_for_25
                    do -- stands_for(id)
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_24, stands_for_25 = of, name
                    end
                    local _, name = stands_for_24, stands_for_25
                    local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
                    is_left_behind_40 = name and not said or said == '!'
                  end
                  left = is_left_behind_40
                end
                if entry and not left then
                  do -- release(lists, group, g, r, entry, out)
                    local held
                    if entry.limits ~= '' or g.flags ~= '-' then
                      local hold_back_32
                      do -- hold_back(group, g, r, entry)
                        local limits_of_21
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
                          limits_of_21 = limits
                        end
                        local limits = limits_of_21
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
                          local counted_begins_17, counted_begins_18, counted_begins_19
                          do -- counted_begins(group)
                            local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                            local begins = {}
                            for ms in string.gmatch(times or '', '%d+') do
                              begins[#begins + 1] = tonumber(ms)
                            end
                            counted_begins_17, counted_begins_18, counted_begins_19 = begins, tonumber(starts or 0), tonumber(window or 0)
                          end
                          local begins, starts, window = counted_begins_17, counted_begins_18, counted_begins_19
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
                          local await_places_29
                          do -- await_places(r, entry)
                            local stands_for_22, stands_for_23
                            do -- stands_for(r.id)
                              local id = r.id
                              local of, name
                              if string.find(id, ';k', 1, true) then
                                of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                              end
                              stands_for_22, stands_for_23 = of, name
                            end
                            local of, name = stands_for_22, stands_for_23
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
                            await_places_29 = free_at
                          end
                          awaits = await_places_29
                        end
                        hold_back_32 = free_at or awaits
                      end
                      held = hold_back_32
                      if not held then
                        local take_turn_33
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
                          take_turn_33 = waits
                        end
                        held = take_turn_33
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
                        local compose_34
                        do -- compose(r.id, entry, drawn, r.lost)
                          local id, lost = r.id, r.lost
                          local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                          local cut = entry.at + entry.cut
                          compose_34 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                            .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                        end
                        local message = compose_34
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
          end
        end
      end
    elseif kind == 'e' then
      local join_lower_50, join_lower_51
      do -- join_lower(line, group, g, id, steps)
        local most = steps
        local order = has_flag(g, 'w') and redis_call('HGET', K_begins, 'o ' .. id)
        order = string.match(order or '', '^%d+ %d+')
        local lower = order and waiting_before(group, order .. ' ' .. id, most) or {}
        for _, member in ipairs(lower) do
          local value, name = string.match(member, '(%d+) %d+ (%S+)$')
          redis_call('ZREM', K_due, member)
          local leave_window_46, leave_window_47
          do -- leave_window(group, g, name)
            local id = name
            local said = has_flag(g, 'w') and redis_call('HGET', K_begins, 'o ' .. id)
            local order, window = string.match(said or '', '^(%d+ %d+) (%d+)$')
            if order then
              redis_call('HDEL', K_begins, 'o ' .. id)
              redis_call('ZREM', K_due, 's ' .. group .. ' ' .. order .. ' ' .. id)
            end
            leave_window_46, leave_window_47 = order, window
          end
          local _, window = leave_window_46, leave_window_47
          local there, corrupt = read_entry(name)
          if redis_call('ZREM', K_due, 'e ' .. group .. ' ' .. name) == 1 then
            do -- add_to(g, 'aside', -1)
              local what, number = 'aside', -1
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
          else
            there = nil
          end
          if there then
            do -- note_order(group, value, window or 0)
              local window = window or 0
              local mark = redis_call('HGET', K_begins, 'm ' .. group)
              if mark and mark > value then
                redis_call('HINCRBY', K_stats, 'tasks_late', 1)
              else
                redis_call('HSET', K_begins, 'm ' .. group, value)
                redis_call('ZADD', K_due, K_REST + now_ms() + window * MARKED, 'm ' .. group)
              end
            end
            redis_call('RPUSH', line, there.us .. ' ' .. name)
          elseif corrupt then
            do -- set_aside(name, group, 'corrupt', corrupt)
              local id, why, text = name, 'corrupt', corrupt
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
        end
        local follows = #lower < most
        if order and follows then
          local leave_window_48, leave_window_49
          do -- leave_window(group, g, id)
            local said = has_flag(g, 'w') and redis_call('HGET', K_begins, 'o ' .. id)
            local order, window = string.match(said or '', '^(%d+ %d+) (%d+)$')
            if order then
              redis_call('HDEL', K_begins, 'o ' .. id)
              redis_call('ZREM', K_due, 's ' .. group .. ' ' .. order .. ' ' .. id)
            end
            leave_window_48, leave_window_49 = order, window
          end
          local _, window = leave_window_48, leave_window_49
          do -- note_order(group, string.match(order, '^%d+'), window)
            local value = string.match(order, '^%d+')
            local mark = redis_call('HGET', K_begins, 'm ' .. group)
            if mark and mark > value then
              redis_call('HINCRBY', K_stats, 'tasks_late', 1)
            else
              redis_call('HSET', K_begins, 'm ' .. group, value)
              redis_call('ZADD', K_due, K_REST + now_ms() + window * MARKED, 'm ' .. group)
            end
          end
        end
        join_lower_50, join_lower_51 = #lower, follows
      end
      local joined, follows = join_lower_50, join_lower_51
      steps = steps - joined
      if follows then
        entry, corrupt = read_entry(id)
        do -- add_to(g, 'aside', -1)
          local what, number = 'aside', -1
          g[what] = string.format('%.0f', math.max(g[what] + number, 0))
        end
      else
        redis_call('ZADD', K_due, K_ETAS + now_ms(), member)
      end
    end
    if entry then
      redis_call('RPUSH', line, entry.us .. ' ' .. id)
    elseif corrupt then
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
    end
    if kind == 'a' then -- also of a group whose next head may not leave
      local trim_front_57
      do -- trim_front(line, group, g, steps)
        local most = steps
        local trim_56
        do -- trim(line, g, most)
          local most = most
          local taken, slice, stands = 0, 1, false
          most = math.min(most, tonumber(g.empty))
          while taken < most and not stands do
            local items = redis_call('LRANGE', line, taken, math.min(taken + slice, most) - 1)
            stands = not items[1]
            for at = 1, #items do
              local entry, corrupt
              if not stands then
                entry, corrupt = read_entry(string.sub(items[at], 18))
                stands = corrupt or entry and entry.us == string.sub(items[at], 1, 16)
                taken = stands and taken or taken + 1
              end
            end
            slice = 100
          end
          if taken > 0 then
            redis_call('LTRIM', line, taken, -1)
            do -- add_to(g, 'empty', -taken)
              local what, number = 'empty', -taken
              g[what] = string.format('%.0f', math.max(g[what] + number, 0))
            end
          end
          trim_56 = taken
        end
        local taken = trim_56
        if taken == most then
          redis_call('ZADD', K_due, K_REST + now_ms(), 'a ' .. group)
        end
        trim_front_57 = taken
      end
      local taken = trim_front_57
      steps = steps - taken
    end
    local head = kind ~= 'a' and #g == 0 and redis_call('LINDEX', line, 0)
    local first = head and read_entry(string.match(head, '^%d+ (.*)$') or '')
    bytes = bytes + (first and #first.text or 0)
    if not first or take_room(KEYS[10], lists, first.queue, 'a ' .. group) then
      do -- advance(lists, line, group, g, out)
        local take_head_42, take_head_43
        do -- take_head(line, group, g)
          local head, entry, corrupt
          if g[1] then
            local take_follower_36, take_follower_37
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
              take_follower_36, take_follower_37 = head, entry
            end
            head, entry = take_follower_36, take_follower_37
          end
          local others = #g
          local has_room_30
          do -- has_room(g)
            local room = not has_flag(g, 'p') and (#g == 0 or has_flag(g, 'n'))
            for at = 1, room and #g or 0 do
              room = room and g[at].state ~= 'w' and g[at].stop == '-'
            end
            has_room_30 = room
          end
          local is_free = has_room_30
          is_free = is_free and not head
          local item = is_free and steps > 0 and redis_call('LPOP', line)
          while item do
            local id = string.sub(item, 18)
            entry, corrupt = read_entry(id)
            local stands, left = entry and entry.us == string.sub(item, 1, 16), false
            if stands and has_flag(g, 'k') then
              local is_left_behind_39
              do -- is_left_behind(id)
                local stands_for_24, stands_for_25
                do -- stands_for(id)
                  local of, name
                  if string.find(id, ';k', 1, true) then
                    of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                  end
                  stands_for_24, stands_for_25 = of, name
                end
                local _, name = stands_for_24, stands_for_25
                local said = redis_call('HGET', K_begins, 'k ' .. (name or id))
                is_left_behind_39 = name and not said or said == '!'
              end
              left = is_left_behind_39
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
                local may_join_31
                do -- may_join(group, g, entry, others)
                  local limits_of_20
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
                    limits_of_20 = limits
                  end
                  local limits = limits_of_20
                  may_join_31 = (limits.together or 1) > others
                end
                fits = may_join_31
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
          take_head_42, take_head_43 = head, entry
        end
        local head, entry = take_head_42, take_head_43
        if head then
          do -- release(lists, group, g, head, entry, out)
            local r = head
            local held
            if entry.limits ~= '' or g.flags ~= '-' then
              local hold_back_32
              do -- hold_back(group, g, r, entry)
                local limits_of_21
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
                  limits_of_21 = limits
                end
                local limits = limits_of_21
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
                  local counted_begins_17, counted_begins_18, counted_begins_19
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_17, counted_begins_18, counted_begins_19 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local begins, starts, window = counted_begins_17, counted_begins_18, counted_begins_19
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
                  local await_places_29
                  do -- await_places(r, entry)
                    local stands_for_22, stands_for_23
                    do -- stands_for(r.id)
                      local id = r.id
                      local of, name
                      if string.find(id, ';k', 1, true) then
                        of, name = string.match(redis_call('HGET', K_entries, id) or '', '\n(%S+) (%S+)$')
                      end
                      stands_for_22, stands_for_23 = of, name
                    end
                    local of, name = stands_for_22, stands_for_23
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
                    await_places_29 = free_at
                  end
                  awaits = await_places_29
                end
                hold_back_32 = free_at or awaits
              end
              held = hold_back_32
              if not held then
                local take_turn_33
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
                  take_turn_33 = waits
                end
                held = take_turn_33
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
                local compose_34
                do -- compose(r.id, entry, drawn, r.lost)
                  local id, lost = r.id, r.lost
                  local ticket = 'gf ' .. K_tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
                  local cut = entry.at + entry.cut
                  compose_34 = TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
                    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
                end
                local message = compose_34
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
                  local counted_begins_14, counted_begins_15, counted_begins_16
                  do -- counted_begins(group)
                    local starts, window, times = string.match(redis_call('HGET', K_begins, 's ' .. group) or '', '^(%d+) (%d+)(.*)$')
                    local begins = {}
                    for ms in string.gmatch(times or '', '%d+') do
                      begins[#begins + 1] = tonumber(ms)
                    end
                    counted_begins_14, counted_begins_15, counted_begins_16 = begins, tonumber(starts or 0), tonumber(window or 0)
                  end
                  local _, _, window = counted_begins_14, counted_begins_15, counted_begins_16
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
  done, told[group] = done + 1, true
end
local next_sweep_45
do -- next_sweep()
  local pause = turned_away and SOON or -1
  next_sweep_45 = pause
end
local pause = next_sweep_45
local needs_sweep_28
do -- needs_sweep()
  needs_sweep_28 = soon
end
local sweeps = needs_sweep_28
return { done, steps > 0 and not sweeps and pause or 0, unpack(out) }
