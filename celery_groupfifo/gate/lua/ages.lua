-- Made of lua/ages.lua by `make scripts`: change that file, not this one.
--
-- ages: read since when the first entry in line of each group waits.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10-] lines (list)   waiting, of each group
-- ARGV[1-2]       clock, tag
-- ARGV[3] count   (count)  groups
-- ARGV[4-] groups (text)   their names
-- Returns for each group when that entry was parked (ms), 0 when no entry is in line
-- Complexity O(groups)
local redis_call = redis.call
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
-- The starts of the ranges of due.

local named_lists_1
do -- named_lists(10, 4, tonumber(ARGV[3]))
  local key, arg, count = 10, 4, tonumber(ARGV[3])
  local lists = {}
  for i = 0, count - 1 do
    lists[ARGV[arg + i]] = KEYS[key + i]
  end
  named_lists_1 = lists
end
local lists = named_lists_1

local found = {}
for i = 4, #ARGV do
  local waiting = lists[ARGV[i]]
  found[#found + 1] = tonumber(string.match(redis_call('LINDEX', waiting, 0) or '', '^(%d+)%d%d%d ') or 0)
end
return found
