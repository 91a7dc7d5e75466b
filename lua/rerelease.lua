-- rerelease: release heads again whose ticket was lost on its way.
--
-- A list is served in order. So a ticket is lost when a later one of its list was begun, or when the list is empty;
-- in a list with messages the oldest tickets are searched for. A worker may have popped a ticket and not begun it yet:
-- hence the grace. A false alarm costs one stale ticket.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] runs   (hash)   of this worker, see lib/run.lua
-- KEYS[11] list   (list)   of the queue; absent on other brokers
-- ARGV[1-2]       clock, tag
-- ARGV[3] queue   (text)
-- ARGV[4] grace   (ms)     since the release
-- ARGV[5] begun   (number) the highest release begun from the queue in any partition
-- ARGV[6] oldest  (number) nothing is done when another head is the oldest by now; 0: any
-- ARGV[7] rereleases (count) on other brokers, for a quiet queue: all of its heads count, and the number of their
--                          releases without a begin is stored; -1: only overtaken heads count
-- ARGV[8] limit   (count)
-- ARGV[9] call    (text)   the same one until an answer has come
-- ARGV[10] keep   (ms)     how long the calls of a silent worker are remembered
-- Returns {count, [queue, message]...}: released again · to publish
-- Complexity O(limit · log on_the_way)
--@include keys clock entry release again
local SCANNED = 1000 -- messages from the list's end that are searched for one ticket
local runs, list, queue, grace, begun = KEYS[10], KEYS[11], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local oldest, rereleases, limit, call, keep = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]

local begun_release, begun_at = string.match(redis.call('HGET', K.begins, queue) or '', '^(%d+) (%d+)')
begun = math.max(begun, tonumber(begun_release or 0))
local length = list and redis.call('LLEN', list)
local below = tonumber(K.us_text) - grace * 1000 -- a release's number is its time
if tonumber(redis.call('GET', K.fence) or 0) > tonumber(K.us_text) + grace * 1000 then
  below = 9e15 -- the clock was set back: every number is below this
end
below = not list and rereleases < 0 and math.min(below, begun) or below

-- Returns whether a list with messages lacks a ticket; the oldest ones are searched for at the list's end.
local function missing(r, entry)
  if not list or length == 0 or tonumber(r.release) < begun or not entry then
    return true
  end
  local found = redis.call('LPOS', list, compose(r.id, entry, r.release, r.lost), 'RANK', -1, 'MAXLEN', SCANNED)
  return not found and length <= SCANNED
end

local lists, out, count = { [queue] = list }, {}, 0
local asked = names_again(runs, 'rerelease', call, lists, out)
local first, past = '[' .. queue .. ' ', '(' .. queue .. ' ' .. string.format('%016.0f', math.max(below, 0))
for at, member in ipairs(redis.call('ZRANGEBYLEX', K.on_the_way, first, past, 'LIMIT', 0, limit)) do
  local drawn, group = string.match(member, ' (%d+) (%S+)$')
  local g, r = open_group(group), nil
  for _, each in ipairs(g) do
    r = each.state == 'w' and each.release == drawn and each or r
  end
  local entry = r and read_entry(r.id)
  if at == 1 and oldest ~= '0' and oldest ~= drawn or r and not missing(r, entry) then
    break -- another call has released it again; or only younger ones follow
  end
  redis.call('ZREM', K.on_the_way, member)
  if entry then
    local before = #out
    release(lists, group, g, r, entry, out)
    count, asked = count + 1, #out > before and asked .. ' ' .. r.id or asked
  elseif r then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'r ' .. group .. ' ' .. r.id) -- unreadable: the sweep sets it aside
  end
end
remember(runs, 'rerelease', call, asked, keep)
if count > 0 and rereleases > 0 then
  redis.call('HSET', K.begins, queue, (begun_release or '0') .. ' ' .. (begun_at or '0') .. ' ' .. digits(rereleases))
end
if count > 0 then
  redis.call('HINCRBY', K.stats, 'tickets_lost', count)
end
return { count, unpack(out) }
