-- sweep: what is due goes on. Ended holds are released, ended leases are reclaimed, due ETAs and unfinished
-- walks are named to the caller, who knows the keys of their groups.
--
-- No mass reclaim: after a time without any sweep (Redis was away, or nobody lived) leases are left alone
-- for a whole ttl, so that every living owner renews first.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] pulse   (string)  "<last sweep, ms> <no gap since, ms>"
-- KEYS[11-] lists  (list)    the broker's lists that the caller knows
-- ARGV[1-2]        clock, tag
-- ARGV[3] ttl      (ms)
-- ARGV[4] limit    (count)   entries moved in one call
-- ARGV[5] claim    (ms)      how long the named ones are left to the caller
-- ARGV[6] named    (count)   lists
-- ARGV[7-] queues  (text)    their names
-- Returns {next, reclaimed, named, ...}: ms until something is due (-1: nothing) · number reclaimed · number of
--         named ones, each a due member and its group · then queue, message pairs to publish
-- Complexity O(limit · log due)
--@include keys flight release resume
local STATE = { l = 'running', h = 'held', r = 'released' } -- that an entry is in when its member is still true
local pulse = KEYS[10]
local ttl, limit, claim, count = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local last, since = string.match(redis.call('GET', pulse) or '', '^(%d+) (%d+)$')
if not last or K.ms - tonumber(last) > ttl / 2 then
  since = K.ms_text
end
redis.call('SET', pulse, K.ms_text .. ' ' .. since)
local may_reclaim = K.ms - tonumber(since) >= ttl

local lists, out, named, reclaimed = named_lists(11, 7, count), {}, {}, 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', K.due, '-inf', K.ms, 'LIMIT', 0, limit)) do
  local kind, name = string.sub(member, 1, 1), string.sub(member, 3)
  local r = STATE[kind] and read_flight(name)
  if string.find('eaxd', kind, 1, true) then
    local group, id = string.match(name, '^(%S+) ?(.*)$')
    if kind == 'e' and redis.call('HEXISTS', K.entries, id) == 0 then
      redis.call('ZREM', K.due, member) -- revoked
    else
      redis.call('ZADD', K.due, K.ms + claim, member)
      named[#named + 1] = member
      named[#named + 1] = group
    end
  elseif kind == 'c' then
    redis.call('ZREM', K.due, member)
    bury_flight(name)
  elseif not r or r.state ~= STATE[kind] then
    redis.call('ZREM', K.due, member)
  elseif kind ~= 'l' then
    redis.call('ZREM', K.due, member)
    redis.call('ZREM', K.rung, r.queue .. ' ' .. r.fence .. ' ' .. name)
    r.due = '-'
    resume(lists, name, r, out)
  elseif may_reclaim then
    r.lost = number(tonumber(r.lost) + 1)
    resume(lists, name, r, out, true)
    reclaimed = reclaimed + 1
  else
    redis.call('ZADD', K.due, tonumber(since) + ttl, member)
  end
end
if reclaimed > 0 then
  redis.call('HINCRBY', K.stats, 'reclaimed', reclaimed)
end
local soonest = redis.call('ZRANGE', K.due, 0, 0, 'WITHSCORES')[2]
local reply = { soonest and math.max(math.ceil(tonumber(soonest) - K.ms), 0) or -1, reclaimed, #named / 2 }
for _, word in ipairs(named) do
  reply[#reply + 1] = word
end
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
return reply
