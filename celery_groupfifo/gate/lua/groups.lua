-- Made of lua/groups.lua by `make scripts`: change that file, not this one.
--
-- groups: read a page of the index of groups.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] cursor  (number)  of the page; 0: the first
-- ARGV[4] limit   (count)   about so many
-- Returns {next, text}: the cursor of the next page, 0 after the last · names and depths, with blanks between; one
--         text, as it is read many times faster than so many words
-- Complexity O(limit)
local redis_call = redis.call
local K_depth = KEYS[4]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
-- The starts of the ranges of due.

local page = redis_call('ZSCAN', K_depth, ARGV[3], 'COUNT', ARGV[4])
return { page[1], table.concat(page[2], ' ') }
