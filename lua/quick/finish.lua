-- The usual end of a run: without a continuation, of the only entry under way in a group without flags, by a worker
-- that takes the next ticket of its lists. It makes no function and hardly a table: a third of a script's time.
-- Any other end, a repeated one too, finds everything as it was.
-- Returns {message, fence}; of the group's own head {entry, ticket}, whose message its reader makes: that costs less
-- than Lua's two texts. See `whole_end` in gate/records.py.
local find, sub = string.find, string.sub
local id, group, who, take, names = ARGV[3], ARGV[4], ARGV[6], ARGV[8], ARGV[9]
local known = find(take, 'lists', 1, true) == 1 and not ARGV[10] and redis.call('HGET', KEYS[2], group)
local said = '- 0 0\nr ' .. id .. ' ' .. ARGV[5] .. ' ' -- see read_ordinary
if known and find(known, said, 1, true) == 1 and not find(known, '\n', #said, true) then
  local entries, groups, line = KEYS[1], KEYS[2], KEYS[10]
  local item = redis.call('LPOP', line)
  local usual, next_id, text, queue, cut, at, list = not item, nil, nil, nil, nil, nil, nil
  if item then
    next_id = sub(item, 18)
    text = redis.call('HGET', entries, next_id)
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
    local state = of and redis.call('HGET', groups, of)
    if state then
      local wanted = '- 0 0\nw ' .. taken .. ' ' .. drawn .. ' - - - ' .. lost .. ' '
      if find(state, wanted, 1, true) == 1 and not find(state, '\n', #wanted, true) then
        waits_in = sub(state, #wanted + 19)
      end
    end
    if ticket and not waits_in then
      redis.call('RPUSH', from, ticket)
      usual = usual and not of -- a plain message keeps its turn; a stale ticket is not usual
    end
  end

  if usual then
    local us = ARGV[1]
    if us == '' then
      local time = redis.call('TIME')
      us = time[2]
      us = time[1] .. (#us == 6 and us or sub('00000' .. us, -6))
    end
    local ms, begun = sub(us, 1, 13), 0
    redis.call('HDEL', entries, id)
    redis.call('HINCRBY', KEYS[8], 'tasks_finished', 1)
    if waits_in then
      redis.call('ZREM', KEYS[5], waits_in .. ' ' .. drawn .. ' ' .. of)
      if sub(drawn, -1) == '0' and lost == '0' then -- see begin_run
        local before = string.match(redis.call('HGET', KEYS[6], waits_in) or '', '^%d+') or '0'
        if tonumber(before) < tonumber(drawn) then
          redis.call('HSET', KEYS[6], waits_in, drawn .. ' ' .. ms)
        end
      end
    end
    if item or waits_in then -- see draw_number
      begun = us
      local last = redis.call('SET', KEYS[7], us, 'GET')
      if last and last >= us then
        begun = string.format('%.0f', last + 1)
        redis.call('SET', KEYS[7], begun)
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
      redis.call('HDEL', groups, group)
    end
    if waits_in then
      local state = '- 0 0\nr ' .. taken .. ' ' .. drawn .. ' ' .. begun .. ' - - ' .. lost .. ' ' .. ms .. ' '
        .. who .. ' ' .. waits_in
      if next_state then
        redis.call('HSET', groups, group, next_state, of, state)
      else
        redis.call('HSET', groups, of, state)
      end
    elseif next_state then
      redis.call('HSET', groups, group, next_state)
    end
    if item and not own then
      redis.call('ZADD', KEYS[5], '0', queue .. ' ' .. begun .. ' ' .. group)
      redis.call('LPUSH', list, '{"properties": {"delivery_tag": "' .. words .. '", "delivery_info": {'
        .. sub(text, at, at + cut - 1) .. '"headers": {"groupfifo": "' .. words .. '", '
        .. sub(text, at + cut))
    end
    local blank = find(who, ' ', 1, true)
    local words_said = sub(who, blank + 1) .. ' ' .. (taken and of .. ' ' .. taken or '- -') .. ' -'
    local new = redis.call('HSET', KEYS[11], ARGV[7], words_said) == 1 -- see keep_lane
    if new then
      redis.call('PERSIST', KEYS[11])
    end
    if new or find(take, '+', 6, true) then
      redis.call('ZADD', KEYS[3], ms + string.match(take, '%d+'), 'w ' .. sub(who, 1, blank - 1))
    end
    if own then
      return { message, words }
    end
    return { waits_in and message or '', waits_in and begun or 0 }
  end
  if item then
    redis.call('LPUSH', line, item)
  end
end
