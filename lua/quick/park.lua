-- The usual park: at once, to a group that is under way, by a call without options. It makes no function and no table,
-- which is a third of a script's time. Any other park, a repeated one too, finds everything as it was.
if not ARGV[7] then
  local keep = '600000' -- see lib/number.lua; Redis would print a number, for 2,000 instructions
  local entries, line, producer, id, number = KEYS[1], KEYS[10], KEYS[11], ARGV[3], ARGV[6]
  local state = redis.call('HGET', KEYS[2], ARGV[4])
  if state and string.find(state, '^[^din\n]+\n') then -- see is_busy
    local us = ARGV[1]
    if us == '' then
      local time = redis.call('TIME')
      us = time[2]
      us = time[1] .. (#us == 6 and us or string.sub('00000' .. us, -6))
    end
    -- The place is written first, see park.lua.
    local place = us .. ' ' .. id
    local length = redis.call('RPUSHX', line, place)
    local new = redis.call('HSETNX', entries, id, us .. ' ' .. ARGV[5]) == 1
    local last = new and redis.call('SET', producer, number, 'PX', keep, 'GET')
    local before = last and string.match(last, '^(%d+)/?%d*$') -- see keep_number
    if new and (not last or before and tonumber(before) < tonumber(string.match(number, '^%d+'))) then
      if length == 0 then
        redis.call('RPUSH', line, place)
      end
      return 1
    end
    if last then
      redis.call('SET', producer, last, 'PX', keep)
      redis.call('HDEL', entries, id)
    end
    if length > 0 then
      redis.call('RPOP', line)
    end
  end
end
