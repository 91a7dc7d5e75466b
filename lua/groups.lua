-- groups: read a page of the index of groups.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] cursor  (number)  of the page; 0: the first
-- ARGV[4] limit   (count)   about so many
-- Returns {next, text}: the cursor of the next page, 0 after the last · names and depths, with blanks between; one
--         text, as it is read many times faster than so many words
-- Complexity O(limit)
--@include keys
local page = redis.call('ZSCAN', K.depth, ARGV[3], 'COUNT', ARGV[4])
return { page[1], table.concat(page[2], ' ') }
