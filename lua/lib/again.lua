-- Repeats the tickets to publish when an answer was lost and its call is repeated. A second copy of a ticket has the
-- same number, and only one of them begins.
--@include entry release

local function ask_again(lists, r, out)
  local entry = read_entry(r.id)
  if entry and r.state == 'w' and not lists[r.queue] then
    local message = compose(r.id, entry, r.release, r.lost)
    out[#out + 1] = r.queue
    out[#out + 1] = message
  end
end

local function heads_again(lists, g, out)
  for _, r in ipairs(g) do
    ask_again(lists, r, out)
  end
end

-- Publish again the tickets of an earlier run of this call. The names of their entries are kept until the worker's next
-- call. Returns the names, with blanks before each.
local function names_again(runs, kind, call, lists, out)
  local before, names = string.match(redis.call('HGET', runs, kind) or '', '^(%S+)(.*)$')
  names = before == call and names or ''
  for name in string.gmatch(names, '%S+') do
    local r = find_record(name)
    if r then
      ask_again(lists, r, out)
    end
  end
  return names
end

local function remember(runs, kind, call, names, ttl)
  if names ~= '' and redis.call('HSET', runs, kind, call .. names) == 1 and redis.call('HLEN', runs) == 1 then
    redis.call('PEXPIRE', runs, ttl) -- until it is a worker's with runs
  end
end
