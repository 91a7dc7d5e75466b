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
--@include keys
local SLICE, TEXTS = 1500, 100 -- places, and messages, that are in hand at a time
local line, start, limit, most = KEYS[10], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local sub, match = string.sub, string.match

local found, at, count, ids = {}, start, 0, {}
while at >= 0 and at < start + most and count < limit do
  local items = redis.call('LRANGE', line, at, at + (at == start and TEXTS or SLICE) - 1)
  for first = 1, #items, TEXTS do
    local last = math.min(first + TEXTS - 1, #items)
    for i = first, last do
      ids[i - first + 1] = sub(items[i], 18)
    end
    local texts = redis.call('HMGET', K.entries, unpack(ids, 1, last - first + 1))
    for i = 1, #texts do
      local text = texts[i]
      if text and count < limit then
        local us, item = match(text, '^(%d+) %S+ %S+ %d+%f[ \n][^\n]*\n'), items[first + i - 1]
        if not us or item == us .. ' ' .. ids[i] then
          count = count + 1
          found[count] = { at + first + i - 2, match(item, '^%d+') or '', ids[i], text }
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
