-- sweep: move due items. Ended holds are released, ended leases are reclaimed, due ETAs, ended blocks and limits, and
-- unfinished walks are named to the caller, which knows the keys of their groups. The oldest dead letters are removed,
-- and identities whose time is over.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] pulse    (string)  "<last sweep, ms> <no gap since, ms> <who watches> <until, ms>", see lib/pulse.lua
-- KEYS[11] crowd    (zset)    "<queue> <ms> <member of due>": members of due that wait for room, see lib/crowd.lua
-- KEYS[12] stamp    (string)  of the partition, see stamp.lua
-- KEYS[13] runs     (hash)    of this worker, see lib/run.lua
-- KEYS[14-] lists   (list)    the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] ttl       (ms)
-- ARGV[4] limit     (count)   entries moved in one call
-- ARGV[5] claim     (ms)      how long the named ones are left to the caller
-- ARGV[6] owner     (text)    the worker
-- ARGV[7] watch     (ms)      how long it watches after this
-- ARGV[8] woken     (0 | 1)   by the bell
-- ARGV[9] call      (text)    the same one until an answer has come
-- ARGV[10] keep     (ms)      how long the calls of a silent worker are remembered
-- ARGV[11] most     (count)   dead letters that are kept
-- ARGV[12] age      (us)      until a dead letter is removed
-- ARGV[13] stamped  (text)    the stamp as the worker has read it: written again when all data was lost
-- ARGV[14] named    (count)   lists
-- ARGV[15-] queues  (text)    their names
-- Returns {next, named, ...}: ms until the next item is due (-1: none is, or another worker watches) ·
--         number of named ones, each a due member and its group, or worker · queue, message pairs to publish
-- Complexity O(limit · log due)
--@include keys clock record flag entry identity letters_out release resume again pulse due crowd turns_due
local STATE = { h = 'h', r = 'w' } -- state of an entry whose member still counts
local BYTES = 262144 -- of messages that one call moves for each kind; and one message more
local pulse, crowd, stamp, runs = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local ttl, limit, claim, owner = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local watch, woken, call, keep, count = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[14])

local left = soonest()
local since, watches = beat(pulse, ttl, owner, watch, woken, stamp, ARGV[13])
local lists, out, named, moved, at = named_lists(14, 15, count), {}, {}, {}, 0
local asked = names_again(runs, 'sweep', call, lists, out)
local members = due_now(left, limit)
local due = #members
while at < #members do -- grows when a crowd comes in
  at = at + 1
  local member = members[at]
  local kind, group, id = string.match(member, '^(%l) (%S+) ?(.*)$')
  local g = STATE[kind] and open_group(group)
  local r, before, went = g and record_of(g, id), #out, nil
  if kind == 'w' and now_ms() - since < ttl then
    redis.call('ZADD', K.due, since + ttl, member)
  elseif kind == 'e' and redis.call('HEXISTS', K.entries, id) == 0 then
    redis.call('ZREM', K.due, member) -- revoked
  elseif kind == 'm' or kind == 't' then -- a group that has begun again has its own end
    redis.call('ZREM', K.due, member)
    if kind == 'm' or not has_flag(open_group(group), 's') then
      redis.call('HDEL', K.begins, (kind == 'm' and 'm ' or 's ') .. group)
    end
  elseif string.find('wveadbl', kind or '-', 1, true) then
    if kind == 'w' then -- its lease is over: its heads are taken back, unless it renews before
      redis.call('ZREM', K.due, member)
      member = 'v ' .. group
    end
    redis.call('ZADD', K.due, (kind == 'e' and K.ETAS or K.REST) + now_ms() + claim, member)
    named[#named + 1] = member
    named[#named + 1] = group
  elseif kind == 'i' then
    forget_identity(member)
  elseif kind == 'f' then
    went = look_at_turns(lists, string.sub(member, 3), out)
  elseif kind == 'q' then
    bring_in(crowd, lists, group, limit + due - #members, members)
  elseif not r or r.state ~= STATE[kind] then
    redis.call('ZREM', K.due, member)
  elseif (moved[kind] or 0) < BYTES and (kind ~= 'h' or at > due or take_room(crowd, lists, r.queue, member)) then
    moved[kind] = (moved[kind] or 0) + redis.call('HSTRLEN', K.entries, id)
    redis.call('ZREM', K.due, member)
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. r.release .. ' ' .. group)
    r.due = '-'
    resume(lists, group, g, r, out)
  end
  asked = #out > before and asked .. (went or ' ' .. id) or asked
end
remember(runs, 'sweep', call, asked, keep)
left = watches and due > 0 and soonest() or left
local more = expire_letters(tonumber(ARGV[11]), tonumber(ARGV[12]))
local reply = { more and 0 or watches and next_due(left) or -1, #named / 2, unpack(named) }
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
return reply
