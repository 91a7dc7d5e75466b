-- Repeats the tickets to publish when an answer was lost and its call is repeated. A second copy of a ticket has the
-- same number, and only one of them begins.
--@include flight release

local function ask_again(lists, id, out)
  local r = read_flight(id)
  local entry = read_entry(id)
  if r and entry and r.state == 'released' and not lists[r.queue] then
    local message = compose(id, entry, r.release, r.lost)
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

-- Publish again the tickets of an earlier run of this call. The names of their entries are kept until the worker's next
-- call: "<call> <name>...". Returns the names, with blanks before each.
local function names_again(calls, kind, call, lists, out)
  local before, names = string.match(redis.call('HGET', calls, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    ask_again(lists, name, out)
  end
  return names
end

local function remember(calls, kind, call, names, ttl)
  if redis.call('HSET', calls, kind, call .. names) == 1 then
    redis.call('PEXPIRE', calls, ttl) -- renewals extend it from now on
  end
end
