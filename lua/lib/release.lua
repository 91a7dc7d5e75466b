-- Makes tickets of parked entries.
--
-- A stored message is the text that kombu would push, without its ticket: "<A><B>", cut after A. The
-- ticket goes in at two fixed places near the front, so no message is ever decoded and encoded again.
--@include keys clock write limits fair
local TICKET, INFO = '{"properties": {"delivery_tag": "', '", "delivery_info": {'
local HEADERS = '"headers": {"groupfifo": "'

local function compose(id, entry, drawn, lost)
  local ticket = 'gf ' .. K.tag .. ' ' .. drawn .. ' ' .. lost .. ' ' .. entry.us .. ' ' .. id .. ' ' .. entry.group
  local cut = entry.at + entry.cut
  return TICKET .. ticket .. INFO .. string.sub(entry.text, entry.at, cut - 1)
    .. HEADERS .. ticket .. '", ' .. string.sub(entry.text, cut)
end

-- Store the continuation of a run under its id. It keeps the time at which the entry was parked, its limits, and its
-- fair key.
local function store_continuation(group, r, queue, cut, message, delay)
  local text = redis.call('HGET', K.entries, r.id) or ''
  local parked, limits = string.match(text, '^(%d+) %S+ %S+ %d+([^\n]*)\n')
  local head = table.concat({ parked or K.us_text, group, queue, cut }, ' ') .. (limits or '')
  redis.call('HSET', K.entries, r.id, head .. '\n' .. message)
  r.due = digits(now_ms() + delay)
end

-- Send out an entry under way: draw a number, make the ticket, write the group, and push the ticket on its list, or say
-- what the caller has to publish. A head whose worker was lost has had its turn: it goes to the list's front, where
-- kombu puts back what a lost worker had.
-- drawn: the fence that this step has given to another entry; nil: there is none. It serves as the number of a release,
-- too, and saves drawing one: releases and fences are never compared.
-- other: a group that is written with this one; nil: there is none.
local function send_out(lists, group, g, r, entry, out, drawn, other, other_g)
  local queue = entry.queue
  if not drawn then
    drawn = draw_number()
  end
  r.state, r.release, r.fence, r.since, r.queue = 'w', drawn, '-', K.ms_text, queue
  r.owner, r.call, r.due, r.stop = '-', '-', '-', '-'
  write_group(group, g, other, other_g)
  local message = compose(r.id, entry, drawn, r.lost)
  redis.call('ZADD', K.on_the_way, 0, queue .. ' ' .. drawn .. ' ' .. group)
  if g.flags ~= '-' then
    count_turn(group, r, entry)
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

-- Release an entry under way, unless its group's limits hold it back, or others of its tenant come first.
local function release(lists, group, g, r, entry, out)
  local held
  if entry.limits ~= '' or g.flags ~= '-' then
    held = hold_back(group, g, r, entry)
    if not held then
      held = take_turn(group, g, r, entry)
    end
  end
  if held then
    write_group(group, g)
  else
    send_out(lists, group, g, r, entry, out)
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
