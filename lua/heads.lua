-- heads: read a page of the queues in which released heads are on their way.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] after   (text)   the page begins behind this queue; empty: with the first one
-- ARGV[4] limit   (count)  queues
-- Returns {queue, release, begins}...: of the oldest head in each queue; the begins from the queue, see lib/keys.lua
-- Complexity O(limit · log on_the_way)
--@include keys
local after, limit = ARGV[3], tonumber(ARGV[4])

local found, from = {}, after == '' and '-' or '(' .. after .. ' \127'
for _ = 1, limit do
  local member = redis.call('ZRANGEBYLEX', K.on_the_way, from, '(\127', 'LIMIT', 0, 1)[1] -- tenants follow
  if not member then
    break
  end
  local queue, drawn = string.match(member, '^(%S+) (%d+) ')
  found[#found + 1] = queue
  found[#found + 1] = drawn
  found[#found + 1] = redis.call('HGET', K.begins, queue) or ''
  from = '(' .. queue .. ' \127'
end
return found
