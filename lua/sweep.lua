-- sweep: move due items. Ended holds are released, ended leases are reclaimed, due ETAs and unfinished walks are named
-- to the caller, which knows the keys of their groups.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] pulse    (string)  "<last sweep, ms> <no gap since, ms> <who watches> <until, ms>", see lib/pulse.lua
-- KEYS[11] crowd    (zset)    "<queue> <ms> <member of due>": members of due that wait for room, see lib/crowd.lua
-- KEYS[12] calls    (hash)    "sweep" -> "<call> <name>...": the tickets to publish of this worker's last call
-- KEYS[13-] lists   (list)    the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] ttl       (ms)
-- ARGV[4] limit     (count)   entries moved in one call
-- ARGV[5] claim     (ms)      how long the named ones are left to the caller
-- ARGV[6] owner     (text)    the worker
-- ARGV[7] watch     (ms)      how long it watches after this
-- ARGV[8] woken     (0 | 1)   by the bell
-- ARGV[9] call      (text)    the same one until an answer has come
-- ARGV[10] keep     (ms)      how long the calls of a silent worker are remembered
-- ARGV[11] named    (count)   lists
-- ARGV[12-] queues  (text)    their names
-- Returns {next, reclaimed, named, ...}: ms until the next item is due (-1: none is, or another worker watches) ·
--         number reclaimed · number of named ones, each a due member and its group · queue, message pairs to publish
-- Complexity O(limit · log due)
--@include keys flight release unreadable resume again pulse due crowd
local STATE = { l = 'running', h = 'held', r = 'released' } -- state of an entry whose member still counts
local BYTES = 262144 -- of messages that one call moves for each kind; and one message more
local pulse, crowd, calls = KEYS[10], KEYS[11], KEYS[12]
local ttl, limit, claim, owner = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local watch, woken, call, keep, count = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])

local since, watches = beat(pulse, ttl, owner, watch, woken)
local lists, out, named, reclaimed, moved, at = named_lists(13, 12, count), {}, {}, 0, {}, 0
local asked = names_again(calls, 'sweep', call, lists, out)
local left = soonest()
local members = due_now(left, limit)
local due = #members
while at < #members do -- grows when a crowd comes in
  at = at + 1
  local member = members[at]
  local kind, name = string.sub(member, 1, 1), string.sub(member, 3)
  local r, before = STATE[kind] and read_or_set_aside(name), #out
  if string.find('eaxd', kind, 1, true) then
    local group, id = string.match(name, '^(%S+) ?(.*)$')
    if kind == 'e' and redis.call('HEXISTS', K.entries, id) == 0 then
      redis.call('ZREM', K.due, member) -- revoked
    else
      redis.call('ZADD', K.due, (kind == 'e' and K.ETAS or K.REST) + K.ms + claim, member)
      named[#named + 1] = member
      named[#named + 1] = group
    end
  elseif kind == 'q' then
    bring_in(crowd, lists, name, limit + due - #members, members)
  elseif kind == 'c' then
    redis.call('ZREM', K.due, member)
    set_record_aside(name)
  elseif not r or r.state ~= STATE[kind] then
    redis.call('ZREM', K.due, member)
  elseif kind == 'l' and K.ms - since < ttl then
    redis.call('ZADD', K.due, since + ttl, member)
  elseif (moved[kind] or 0) < BYTES and (kind ~= 'h' or at > due or take_room(crowd, lists, r.queue, member)) then
    moved[kind] = (moved[kind] or 0) + redis.call('HSTRLEN', K.entries, name)
    redis.call('ZREM', K.due, member)
    if kind == 'l' then
      r.lost, reclaimed = digits(r.lost + 1), reclaimed + 1
    else
      redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. name)
      r.due = '-'
    end
    resume(lists, name, r, out, kind == 'l')
  end
  asked = #out > before and asked .. ' ' .. name or asked
end
if asked ~= '' then
  remember(calls, 'sweep', call, asked, keep)
end
if reclaimed > 0 then
  redis.call('HINCRBY', K.stats, 'tasks_reclaimed', reclaimed)
end
left = watches and due > 0 and soonest() or left
local reply = { watches and next_due(left) or -1, reclaimed, #named / 2, unpack(named) }
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
return reply
