-- place: find the place of an entry in its line.
--
-- The time tells about where it is, see lib/by_time.lua. For an entry that joined late the caller goes through the
-- line, a part per call, from its end, as whatever leaves a line leaves it at the front.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] us       (us)    time when the entry was parked
-- ARGV[4] id       (text)
-- ARGV[5] below    (count) look at the last places below this one; -1: where the time says
-- ARGV[6] most     (count) places to look at
-- ARGV[7] so_far   (text)  of the call before; empty: this is the first one
-- Returns {place, below, so_far}: -1 it was not found · for the next call, 0 when no places are left
-- Complexity O(most)
--@include by_time
local line, us, item = KEYS[10], tonumber(ARGV[3]), ARGV[3] .. ' ' .. ARGV[4]
local below, most, so_far = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local at
if below < 0 then
  at, so_far = place_by_time(line, us, item, so_far)
  below = so_far ~= '' and -1 or redis.call('LLEN', line)
else
  local first = math.max(below - most, 0)
  at = index_of(redis.call('LRANGE', line, first, below - 1), item)
  at, below = at and first + at - 1, first
end
return { at or -1, at and 0 or below, so_far }
