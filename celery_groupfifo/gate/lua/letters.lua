-- Made of lua/letters.lua by `make scripts`: change that file, not this one.
--
-- letters: read a page of the dead letters, the newest first: their numbers and names.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- ARGV[1-2]       clock, tag
-- ARGV[3] from    (number)  of the first one; 0: the newest. Where it is gone, the next older one
-- ARGV[4] limit   (count)   letters that are looked at
-- ARGV[5] group   (text)    only those of this group; empty: of any
-- ARGV[6] bound   (number)  of the page before
-- Returns {next, bound, rows}: where the next page begins, 0 after the last · its bound: newer letters are passed over
--         until there, 0: none · "<number> <group> <entry>" in lines
-- Complexity O(limit)
local redis_call = redis.call
local K_dead = KEYS[9]
-- The starts of the ranges of due.

local from, limit, group, bound = ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local kind, newest = 'n ', 'newest'
if group ~= '' then
  kind, newest = 'g ', 'newest ' .. group
end
local number, found = from, {}
if redis_call('HEXISTS', K_dead, kind .. from) == 0 then
  number = redis_call('HGET', K_dead, newest) or '0'
  bound = bound > 0 and bound or tonumber(from)
end
for _ = 1, limit do
  local rows = redis_call('HMGET', K_dead, kind .. number, 'n ' .. number)
  local who = string.match(rows[2] or '', '^%d+ %d+ (.*)$')
  if who and (bound == 0 or tonumber(number) <= bound) then
    found[#found + 1] = number .. ' ' .. who
  end
  number = string.match(rows[1] or '', '^%d+') or '0'
  if number == '0' then
    break
  end
end
if redis_call('HEXISTS', K_dead, kind .. number) == 0 then -- the last one, or somebody has cut the chain
  number = '0'
end
return { number, tonumber(number) > bound and string.format('%.0f', bound) or '0', table.concat(found, '\n') }
