-- The short way of cut.lua and cancel.lua, for groups as they nearly all are: no flag, nothing aside, one entry under
-- way at most. What many groups need is read and written in one command: a command of a script costs microseconds.
--@include keys clock group record flag write entry
local later = { entries = {}, parts = {}, ends = {}, states = {}, due = {}, undue = {}, tickets = {} }

-- Read the states of groups, which stand in every so many arguments from a place on.
local function read_states(first, step)
  local names = {}
  for at = first, #ARGV, step do
    names[#names + 1] = ARGV[at]
  end
  local found = #names > 0 and redis.call('HMGET', K.groups, unpack(names)) or {}
  for at, name in ipairs(names) do
    texts[name] = found[at] or ''
  end
end

local function write_later(group, g)
  local text = state_text(g)
  later.states[#later.states + 1] = group
  later.states[#later.states + 1] = text
end

-- Cut off a group. Returns the places of its part; nothing when it needs the long way, and nothing was done.
local function cut_plainly(line, part, group, g, member, bound, limit, due_at)
  local r, places = g[1], nil
  local head = r and r.state == 'w' and read_entry(r.id)
  if g.flags == '-' and g.aside == '0' and not g[2] and (not r or r.state == 'r' or head) then
    places = redis.call('LRANGE', line, 0, limit)
    local late = #places > limit or head and tonumber(head.us) > bound
    for i = 1, #places do
      late = late or tonumber(string.match(places[i], '^%d+') or 0) > bound
    end
    if late or #places > 0 and redis.call('RENAMENX', line, part) == 0 then
      places = nil
    end
  end
  if places then
    g.aside, g.empty = digits(#places - g.empty), '0'
    if head then
      later.tickets[#later.tickets + 1] = r.queue .. ' ' .. r.release .. ' ' .. group
      later.undue[#later.undue + 1] = 'r ' .. group .. ' ' .. r.id
      table.insert(places, 1, head.us .. ' ' .. r.id)
      redis.call('LPUSH', part, places[1])
      g[1] = nil
      add_to(g, 'aside', 1)
    end
    if #places > 0 then
      add_mark(g, 'c')
      later.due[#later.due + 1] = due_at
      later.due[#later.due + 1] = member
      write_later(group, g)
    end
  end
  return places
end

-- End the entries of a part, all of which were told. Returns whether it was done; else the group needs the long way.
local function cancel_plainly(line, part, group, g, member, seen, told)
  local places, done = {}, false
  if g.flags == 'c' and not g[2] and (not g[1] or g[1].state == 'r') then
    places = redis.call('LRANGE', part, 0, seen)
    done = #places > 0 and #places == seen and table.concat(places, '\n') == told
      and (g[1] or redis.call('EXISTS', line) == 0) and true or false
  end
  if done then
    for i = 1, #places do
      later.entries[#later.entries + 1] = string.sub(places[i], 18)
    end
    later.parts[#later.parts + 1] = part
    later.undue[#later.undue + 1] = member
    add_to(g, 'aside', -#places)
    drop_mark(g, 'c')
    if g[1] or g.aside ~= '0' then
      write_later(group, g)
    else
      later.ends[#later.ends + 1] = group
    end
  end
  return done
end

local function each_later(command, key, list)
  if #list > 0 then
    return redis.call(command, key, unpack(list))
  end
  return 0
end

-- Write what is for later.
local function write_all()
  local removed = each_later('HDEL', K.entries, later.entries)
  if #later.parts > 0 then
    redis.call('DEL', unpack(later.parts))
  end
  each_later('ZREM', K.due, later.undue)
  each_later('ZREM', K.on_the_way, later.tickets)
  each_later('ZADD', K.due, later.due)
  each_later('HSET', K.groups, later.states)
  each_later('HDEL', K.groups, later.ends)
  if removed > 0 then
    redis.call('HINCRBY', K.stats, 'tasks_removed', removed)
    redis.call('HINCRBY', K.stats, 'tasks_revoked', removed)
  end
end
