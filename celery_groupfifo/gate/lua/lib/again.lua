-- An answer was lost, and its call is repeated: what it asked the caller to publish is asked once more. A second copy
-- of a ticket has the same fence, and only one of them begins.

local function ask_again(lists, id, out)
  local r = read_flight(id)
  local entry = read_entry(id)
  if r and entry and r.state == 'released' and not lists[r.queue] then
    local message = compose(id, entry, r.fence, r.lost)
    out[#out + 1] = r.queue
    out[#out + 1] = message
  end
end

local function heads_again(lists, group_key, out)
  for _, field in ipairs(redis.call('HKEYS', group_key)) do
    if string.sub(field, 1, 2) == 'f ' then
      ask_again(lists, string.sub(field, 3), out)
    end
  end
end

-- Names of entries that a call of a worker asked to publish are kept until its next one: "<call> <name>...".
-- Asks once more for those of this very call. Returns them, with blanks before each.
local function asked_before(calls, kind, call, lists, out)
  local before, names = string.match(redis.call('HGET', calls, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    ask_again(lists, name, out)
  end
  return names
end

local function remember(calls, kind, call, names, ttl)
  if redis.call('HSET', calls, kind, call .. names) == 1 then
    redis.call('PEXPIRE', calls, ttl) -- renewals go on with it
  end
end
