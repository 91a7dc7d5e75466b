-- The short way of cut.lua and cancel.lua, for groups as they nearly all are: no flag, nothing aside, one entry under
-- way at most. What many groups need is read and written in one command: a command of a script costs microseconds.
--@include keys group write
local later = { entries = {}, parts = {}, ends = {}, states = {}, due = {}, undue = {}, tickets = {} }

-- Read the states of groups, which stand in every so many arguments from a place on.
local function read_states(first, step)
  local names = {}
  for at = first, #ARGV, step do
    names[#names + 1] = ARGV[at]
  end
  local found = #names > 0 and redis.call('HMGET', K.groups, unpack(names)) or {}
  for at, name in ipairs(names) do
    rawset(texts, name, found[at] or '')
  end
end

local function write_later(group, g)
  local text = state_text(g)
  table.insert(later.states, group)
  table.insert(later.states, text)
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
  for _, part in ipairs(later.parts) do
    redis.call('DEL', part)
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
