-- ring: heads whose ticket was lost on its way are released again, with a new fence.
--
-- A list is served in order. So a head released before one that has since been begun from the same list, or any
-- head while the list is empty, is not there any more; behind other messages the oldest ones are looked for. A
-- worker may hold it this very moment, between pop and begin: hence the grace. A false alarm costs one stale ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] list   (list)   of the queue; absent on other brokers
-- ARGV[1-2]       clock, tag
-- ARGV[3] queue   (text)
-- ARGV[4] grace   (ms)     since the release
-- ARGV[5] bound   (ms)     on other brokers, when nothing at all was begun from the queue for so long
-- ARGV[6] limit   (count)
-- Returns {count, [queue, message]...}: rung again · to publish
-- Complexity O(limit · log rung)
--@include keys flight release
local SCANNED = 1000 -- messages from the list's end that are looked through for one ticket
local list, queue = KEYS[10], ARGV[3]
local grace, bound, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local seen, seen_at = string.match(redis.call('HGET', K.seen, queue) or '', '^(%d+) (%d+)$')
local below, length = K.us - grace * 1000, list and redis.call('LLEN', list) -- a fence is the time of a release
local overtaken = math.min(below, tonumber(seen or 0))
if not list then
  local quiet = not seen or K.ms - tonumber(seen_at) > bound
  below = quiet and K.us - bound * 1000 or overtaken
end

-- Whether a list that is not empty lacks a ticket: the oldest ones are looked for where they would be.
local function missing(fence, id, r)
  if not list or length == 0 or tonumber(fence) < overtaken then
    return true
  end
  local entry = read_entry(id)
  if not entry then
    return true
  end
  local found = redis.call('LPOS', list, compose(id, entry, r.fence, r.lost), 'RANK', -1, 'MAXLEN', SCANNED)
  return not found and length <= SCANNED
end

local first, past = '[' .. queue .. ' ', '(' .. queue .. ' ' .. string.format('%016.0f', math.max(below, 0))
local out, count = {}, 0
for _, member in ipairs(redis.call('ZRANGEBYLEX', K.rung, first, past, 'LIMIT', 0, limit)) do
  local fence, id = string.match(member, ' (%d+) (%S+)$')
  local r = read_flight(id)
  if r and r.state == 'released' and r.fence == fence and not missing(fence, id, r) then
    break -- the younger ones are behind it
  end
  redis.call('ZREM', K.rung, member)
  if r and r.state == 'released' and r.fence == fence then
    local entry = read_entry(id)
    if entry then
      ring({ [queue] = list }, id, r.lost, r.group, entry, out)
      count = count + 1
    else
      redis.call('ZADD', K.due, K.ms, 'l ' .. id) -- unreadable: the sweep buries it
      r.state = 'running'
      write_flight(id, r)
    end
  end
end
if count > 0 then
  redis.call('HINCRBY', K.stats, 'rung', count)
end
return { count, unpack(out) }
