-- Lets the next heads of a tenant go out when its row is due, see lib/turns.lua.
--@include keys clock record entry again fair turns
local AT_ONCE = 20 -- tickets that one call looks at

-- Let heads go out by a sweep, which forgets tickets that are on their way no more, if nobody has: the oldest ones.
local function look_at_turns(lists, of, out)
  local from, to = '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127'
  for _, member in ipairs(redis.call('ZRANGEBYLEX', K.on_the_way, from, to, 'LIMIT', 0, AT_ONCE)) do
    local drawn, group, id = string.match(member, ' (%d+) (%S+) (%S+)$')
    local r = record_of(open_group(group), id)
    if not r or r.state ~= 'w' or r.release ~= drawn then
      redis.call('ZREM', K.on_the_way, member)
    end
  end
  local names = next_turns(lists, of, out, true)
  return names
end

-- Let heads go out by advance, when it is due. Else another call has done it, or this one before: its tickets may not
-- have reached their broker.
local function turn_again(lists, of, out)
  local at = tonumber(redis.call('ZSCORE', K.due, 'f ' .. of) or 1e15)
  if at <= K.REST + now_ms() then
    next_turns(lists, of, out, true)
  else
    local from, to = '[' .. OUT .. of .. ' ', '(' .. OUT .. of .. ' \127'
    for _, member in ipairs(redis.call('ZRANGEBYLEX', K.on_the_way, from, to, 'LIMIT', 0, AT_ONCE)) do
      local r = find_record(string.match(member, '%S+$'))
      if r then
        ask_again(lists, r, out)
      end
    end
  end
end
