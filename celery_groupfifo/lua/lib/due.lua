-- What is due. The kinds have ranges of scores of their own, see lib/keys.lua: none of them waits behind another.
local RANGE = 1e14

-- So many due members: leases first, and of each kind a fair share.
local function due_now(limit)
  local counts, shares, members = {}, {}, {}
  local kinds = { 0, 1, 2, 3 }
  for _, kind in ipairs(kinds) do
    counts[kind] = redis.call('ZCOUNT', K.due, kind * RANGE, kind * RANGE + K.ms)
  end
  table.sort(kinds, function(a, b) return counts[a] < counts[b] end)
  for at, kind in ipairs(kinds) do -- what a kind does not need is for those that need more
    shares[kind] = math.min(counts[kind], math.floor(limit / (#kinds - at + 1)))
    limit = limit - shares[kind]
  end
  for kind = 0, 3 do
    local first = kind * RANGE
    if shares[kind] > 0 then
      local range = redis.call('ZRANGEBYSCORE', K.due, first, first + K.ms, 'LIMIT', 0, shares[kind])
      for _, each in ipairs(range) do
        members[#members + 1] = each
      end
    end
  end
  return members
end

-- ms until something is due; -1: nothing.
local function next_due()
  local soonest = -1
  for kind = 0, 3 do
    local range = kind * RANGE
    local at = redis.call('ZRANGEBYSCORE', K.due, range, '(' .. range + RANGE, 'WITHSCORES', 'LIMIT', 0, 1)[2]
    local left = at and math.max(math.ceil(at - range - K.ms), 0)
    soonest = left and (soonest < 0 or left < soonest) and left or soonest
  end
  return soonest
end
