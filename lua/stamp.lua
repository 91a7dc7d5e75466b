-- stamp: write the stamp of a partition, and begin the edition that it names. Nothing is done when another process was
-- faster.
--
-- A list of one text stands at each name of an edition before. A script of that edition expects another type there, so
-- its first command fails, and it has written nothing. See gate/stamps.py.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua: the names of the new edition
-- KEYS[10] stamp  (string)  "<edition> <version> <partitions> <release>"
-- KEYS[11-] old   (list)    the nine names of each edition that ends; of other types until then
-- ARGV[1-2]       clock, tag
-- ARGV[3] seen    (text)    the stamp that the caller has read; empty: none
-- ARGV[4] text    (text)    the new one
-- ARGV[5] empty   (0 | 1)   nothing is done while the partition holds a task, a dead letter, or a flag of a group
-- ARGV[6] floor   (number)  later fences are above it; empty: they are anyway
-- Returns 1 written, now or before · 0 the stamp is another one than the caller has read · -1 the partition holds
--         something
-- Complexity O(1)
local stamp, seen, text, empty, floor = KEYS[10], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local HOLDS = { true, true, false, true, false, false, false, false, true } -- of the nine: something, when it exists

local now = redis.call('GET', stamp) or ''
if now ~= seen then
  return now == text and 1 or 0
end
local stays = {} -- that list stands there already
for i = 11, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if empty == '1' and HOLDS[(i - 11) % 9 + 1] and kind == 'hash' then
    return -1
  end
  stays[i] = kind == 'list' or kind == 'none'
  if not stays[i] and redis.call('EXISTS', KEYS[(i - 11) % 9 + 1]) == 1 then
    return redis.error_reply('ERR both ' .. KEYS[i] .. ' and ' .. KEYS[(i - 11) % 9 + 1] .. ' exist')
  end
end
for i = 11, #KEYS do
  if not stays[i] then
    redis.call('RENAME', KEYS[i], KEYS[(i - 11) % 9 + 1])
  end
  redis.call('RPUSH', KEYS[i], text)
end
if floor ~= '' and (redis.call('GET', KEYS[7]) or '') < floor then -- both have 16 digits
  redis.call('SET', KEYS[7], floor)
end
redis.call('SET', stamp, text)
return 1
