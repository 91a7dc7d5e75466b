-- Made of lua/states.lua by `make scripts`: change that file, not this one.
--
-- states: read the flags of groups, and what of them is under way.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10-] groups (hash)
-- ARGV[1-2]        clock, tag
-- Returns a text with blanks, three words for each group: its flags (p paused, b blocked, d draining) and the states of
--         its entries in flight (r running, w released, h held), or - · since when (ms) the oldest of these is in its
--         state, 0: none is · their number
-- Complexity O(groups · in flight)
local redis_call = redis.call
local K_flight = KEYS[2]
-- The time, as number and as text.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.format('%06d', time[2])
end
-- The starts of the ranges of due.

local LETTERS = { paused = 'p', blocked = 'b', draining = 'd', running = 'r', released = 'w', held = 'h' }
local found, match, sub = {}, string.match, string.sub
for i = 10, #KEYS do
  local word, since, oldest, count = '', '0', nil, 0
  for _, field in ipairs(redis_call('HKEYS', KEYS[i])) do
    if LETTERS[field] then
      word = word .. LETTERS[field]
    elseif sub(field, 1, 2) == 'f ' then
      local record = redis_call('HGET', K_flight, sub(field, 3)) or ''
      local state, drawn, at = match(record, '^(%l+) (%d+) %S+ %d+ (%d+) ')
      if LETTERS[state] then
        word, count = word .. LETTERS[state], count + 1
        if not oldest or tonumber(drawn) < oldest then
          oldest, since = tonumber(drawn), at
        end
      end
    end
  end
  found[#found + 1] = (word == '' and '-' or word) .. ' ' .. since .. ' ' .. count
end
return table.concat(found, ' ')
