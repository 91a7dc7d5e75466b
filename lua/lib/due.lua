-- The due members. Each kind has a range of scores of its own, see lib/keys.lua: no kind waits behind another.
--@include keys clock
local RANGE = 1e14

-- Returns for each kind the ms until its first member is due; nil: it has none.
local function soonest()
  local left = {}
  for kind = 0, 3 do
    local first = kind * RANGE
    local at = redis.call('ZRANGEBYSCORE', K.due, first, '(' .. first + RANGE, 'WITHSCORES', 'LIMIT', 0, 1)[2]
    left[kind] = at and math.max(math.ceil(at - first - now_ms()), 0)
  end
  return left
end

-- Returns due members, up to a number: leases first, and of each kind a fair share.
local function due_now(left, limit)
  local counts, shares, members = {}, {}, {}
  local kinds = {}
  for kind = 0, 3 do
    if left[kind] == 0 then
      kinds[#kinds + 1] = kind
      counts[kind] = redis.call('ZCOUNT', K.due, kind * RANGE, kind * RANGE + now_ms())
    end
  end
  table.sort(kinds, function(a, b) return counts[a] < counts[b] end)
  for at, kind in ipairs(kinds) do -- the unused share of a kind goes to the others
    shares[kind] = math.min(counts[kind], math.floor(limit / (#kinds - at + 1)))
    limit = limit - shares[kind]
  end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do
    local first = kind * RANGE
    for _, each in ipairs(redis.call('ZRANGEBYSCORE', K.due, first, first + now_ms(), 'LIMIT', 0, shares[kind])) do
      members[#members + 1] = each
    end
  end
  return members
end

-- Returns the ms until the next member is due; -1: there is none.
local function next_due(left)
  local least = -1
  for kind = 0, 3 do
    least = left[kind] and (least < 0 or left[kind] < least) and left[kind] or least
  end
  return least
end
