-- Made of lua/line.lua by `make scripts`: change that file, not this one.
--
-- line: read places of a line that are not empty, from a place on.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] start    (count) the first place
-- ARGV[4] limit    (count) places to return
-- ARGV[5] most     (count) places to look at; a few more
-- Returns {next, {place, us, id, entry}...}: where to go on, -1 behind the line's end; the entry's text
-- Complexity O(most): empty places cost a microsecond each
local redis_call = redis.call
local K_entries = KEYS[1]
-- The starts of the ranges of due.

local SLICE, TEXTS = 500, 100 -- places, and messages, that are in hand at a time
local line, start, limit, most = KEYS[10], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local sub, find, match = string.sub, string.find, string.match

local found, at, count = {}, start, 0
while at >= 0 and at < start + most and count < limit do
  local items, ids = redis_call('LRANGE', line, at, at + (at == start and TEXTS or SLICE) - 1), {}
  for i = 1, #items do
    ids[i] = sub(items[i], (find(items[i], ' ', 1, true) or 0) + 1)
  end
  for first = 1, #items, TEXTS do
    local texts = redis_call('HMGET', K_entries, unpack(ids, first, math.min(first + TEXTS - 1, #items)))
    for i = 1, #texts do
      local text = count < limit and texts[i]
      if text then
        local us, item, id = match(text, '^(%d+) %S+ %S+ %d+%f[ \n][^\n]*\n'), items[first + i - 1], ids[first + i - 1]
        if not us or item == us .. ' ' .. id then
          count = count + 1
          found[count] = { at + first + i - 2, match(item, '^%d+') or '', id, text }
        end
      end
    end
    if count == limit then
      break
    end
  end
  at = #items == 0 and -1 or at + #items
end
return { count == limit and found[count][1] + 1 or at, unpack(found) }
