-- Makes tickets of parked entries.
--
-- A stored message is the text that kombu would push, without its ticket: "<A><B>", cut after A. The
-- ticket goes in at two fixed places near the front, so no message is ever decoded and encoded again.
--@include keys flight
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'

-- Returns the entry; nothing when there is none, and its text when it can't be read.
local function read_entry(id)
  local text = redis.call('HGET', K.entries, id)
  local us, group, queue, cut, at = string.match(text or '', '^(%d+) (%S+) (%S+) (%d+)\n()')
  local entry, corrupt
  if us then
    entry = { us = us, group = group, queue = queue, cut = tonumber(cut), text = text, at = at }
  elseif text then
    corrupt = text
  end
  return entry, corrupt
end

local function compose(id, entry, drawn, lost)
  local ticket = 'gf ' .. K.tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id
  local cut = entry.at + entry.cut
  return TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
end

-- Store the continuation of a run under its id. It keeps the time at which the entry was parked.
local function store_continuation(id, r, queue, cut, message, delay)
  local parked = string.match(redis.call('HGET', K.entries, id) or '', '^%d+') or K.us_text
  redis.call('HSET', K.entries, id, table.concat({ parked, r.group, queue, cut }, ' ') .. '\n' .. message)
  r.due = digits(K.ms + delay)
end

-- Move an unreadable entry to the dead letters; its group goes on.
local function set_aside(id, group, reason, text)
  redis.call('LPUSH', K.dead, cjson.encode({ group, id, reason, K.ms_text }) .. '\n' .. (text or ''))
  redis.call('HDEL', K.entries, id)
  redis.call('HDEL', K.flight, id)
  redis.call('HINCRBY', K.stats, 'tasks_dead_lettered', 1)
end

local function count_out(group)
  if tonumber(redis.call('ZINCRBY', K.depth, -1, group)) <= 0 then
    redis.call('ZREM', K.depth, group)
  end
end

-- Release an entry in flight: draw a number, make the ticket, and push it on its list, or say what the caller has to
-- publish. A head whose worker was lost has had its turn: it goes to the list's front, where kombu puts back what a
-- lost worker had.
-- drawn: the fence that this step has given to another entry; nil: there is none. It serves as the number of a release,
-- too, and saves drawing one: releases and fences are never compared.
local function release(lists, id, lost, group, entry, out, drawn)
  local queue = entry.queue
  if not drawn then
    drawn = draw_number()
  end
  redis.call('HSET', K.flight, id,
    'released ' .. drawn .. ' - ' .. lost .. ' ' .. K.ms_text .. ' - - - - ' .. group .. ' ' .. queue)
  local message = compose(id, entry, drawn, lost)
  redis.call('ZADD', K.on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. id)
  local pushed = lists[queue] and (lost == '0' and redis.pcall('LPUSH', lists[queue], message)
    or redis.pcall('RPUSH', lists[queue], message))
  if type(pushed) == 'table' and not string.find(pushed.err, 'WRONGTYPE', 1, true) then
    error(pushed.err)
  elseif type(pushed) ~= 'number' then -- the caller gave no such list, or the key is no list
    out[#out + 1] = queue
    out[#out + 1] = message
  end
end

-- lists: queue -> key, from `count` keys and as many names.
local function named_lists(key, arg, count)
  local lists = {}
  for i = 0, count - 1 do
    lists[ARGV[arg + i]] = KEYS[key + i]
  end
  return lists
end
