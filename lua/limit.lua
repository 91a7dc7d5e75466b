-- limit: set the limits of a group, or take them away: its entries' own count then. What they held back goes on.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] audit   (list)   the actions of operators, newest first
-- KEYS[11] answer  (string) of this action's last call
-- KEYS[12] line    (list)   of the group
-- KEYS[13] wake    (list)   wakes one sweeping worker
-- ARGV[1-2]        clock, tag
-- ARGV[3] note     (text)   for the audit
-- ARGV[4] call     (number) of this action, from 1
-- ARGV[5] group    (text)
-- ARGV[6] limits   (text)   see lib/limits.lua; empty: take them away
-- ARGV[7] flag     (text)   operator and more: JSON, open for the time
-- ARGV[8] lasts    (ms)     until they are taken away; 0: for ever
-- Returns {1, [queue, message]...} set; to publish · {2, ...} others are replaced · {3, ...} taken away · {0} there are
--         none
-- Complexity O(under way · log due)
--@include keys clock flag entry advance once operate look_again bell begins
local audit, line, wake = KEYS[10], KEYS[12], KEYS[13]
local group, limits, flag, lasts = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])

local g, code, out = open_group(group), 3, {}
if limits ~= '' then
  code = set_flag(group, g, 'l', limits .. ' ' .. stamped(flag)) and 1 or 2
elseif has_flag(g, 'l') then
  clear_flag(group, g, 'l')
else
  return { 0 }
end
local starts, window = string.match(limits, '^l(%d+)/(%d+)')
if starts and starts ~= '0' and not has_flag(g, 's') then -- a run under way counts when it is over
  local begins, most, longest = counted_begins(group)
  add_mark(g, 's')
  keep_begins(group, begins, math.max(tonumber(starts), most), math.max(tonumber(window), longest))
end
if limits ~= '' and lasts > 0 then
  redis.call('ZADD', K.due, K.REST + now_ms() + lasts, 'l ' .. group)
else
  redis.call('ZREM', K.due, 'l ' .. group)
end
look_again({}, group, g, out)
advance({}, line, group, g, out)
ring(wake)
note(audit, ARGV[3])
return keep_answer({ code, unpack(out) })
