-- park_several: let an entry join the lines of several groups, in one step; see lib/stand_in.lua.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] producer  (string)  "<last number>" of this producer
-- KEYS[11] wake      (list)    wakes one sweeping worker
-- KEYS[12-] line     (list)    of each group
-- KEYS[..] list      (list)    the broker's list of the entry's queue; absent on other brokers
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  queue     (text)
-- ARGV[5]  cut       (bytes)   where the message's second ticket goes
-- ARGV[6]  message   (bytes)
-- ARGV[7]  number    (text)    of this producer's parks, from 1; of many in one round trip see lib/number.lua
-- ARGV[8]  keep      (ms)      how long the producer's number is remembered
-- ARGV[9]  replaces  (0 | 1)   the id may be of a running task: then it has another name
-- ARGV[10] most      (count)   parked entries that each group may have; '': any number
-- ARGV[11] limits    (text)    of the entry, see lib/limits.lua; '': none
-- ARGV[12] many      (count)   groups
-- ARGV[13-] groups   (text)    the first one is that of the entry
-- Returns {1, queue, message} parked; to publish when given · {2, [queue, message]...} parked by this call before
--         · {-1} the id is parked or running already · {-2, place} a group is draining: its place, from 1
--         · {-3, place} one is full
-- Complexity O(groups)
--@include keys write flag entry number advance again told overflow said bell record
local NAMES = 8 -- names that the entries of one task may have, see keys.py
local producer, wake, id, queue, cut, message = KEYS[10], KEYS[11], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local number, keep, replaces, most, many = ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[12])

-- The lines are read first: a foreign key of a line's name stops the script before any write.
local lists, out, groups, refused, place = { [queue] = KEYS[12 + many] }, {}, {}, nil, nil
for at = many, 1, -1 do
  groups[at] = ARGV[12 + at]
  local line, g = KEYS[11 + at], open_group(groups[at])
  local depth = redis.call('LLEN', line)
  local full = depth > 0 and is_full(line, g, most)
  if has_flag(g, 'd') or full then
    refused, place = has_flag(g, 'd') and -2 or -3, at
  end
end
local last, repeated, told = keep_number(producer, number, keep)
if told then
  local reply = told_again(told)
  return { reply[1], tonumber(reply[2]) }
elseif repeated then
  heads_again(lists, open_group(groups[1]), out)
  return { 2, unpack(out) }
end
local name = id
for _ = 2, replaces == '1' and NAMES or 1 do
  name = redis.call('HEXISTS', K.entries, name) == 1 and name .. ';r' or name
end
if redis.call('HEXISTS', K.entries, name) == 1 then
  refused, place = -1, nil
end
if refused then
  restore_number(producer, last, keep, number, refused .. '|' .. (place or '')) -- a repetition gets this answer, too
  return { refused, place }
end

local us = K.us_text
for at = 1, many do
  local group, own, cuts, text = groups[at], name, cut .. limits_text(ARGV[11]), message
  if at > 1 then
    own, cuts, text = name .. ';k' .. at - 1, '0', groups[1] .. ' ' .. name
  end
  local g = open_group(group)
  redis.call('HSET', K.entries, own, us .. ' ' .. group .. ' ' .. queue .. ' ' .. cuts .. '\n' .. text)
  redis.call('RPUSH', KEYS[11 + at], us .. ' ' .. own)
  if not has_flag(g, 'k') then
    add_mark(g, 'k')
  end
end
redis.call('HSET', K.begins, 'k ' .. name, table.concat(groups, ' ', 2))
redis.call('HINCRBY', K.stats, 'stand_ins', many - 1)
for at = many, 1, -1 do -- the entry itself comes last: it goes out when its stand-ins are heads
  local group = groups[at]
  local g = open_group(group)
  write_group(group, g)
  if #g == 0 or has_flag(g, 'n') then
    advance(lists, KEYS[11 + at], group, g, out)
  end
end
local r = record_of(open_group(groups[1]), name)
if steps == 0 or r and r.stop == 'l' then -- no worker knows of it
  ring(wake)
end
return { 1, unpack(out) }
