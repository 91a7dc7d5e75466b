-- Made of lua/discard.lua by `make scripts`: change that file, not this one.
--
-- discard: remove dead letters.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] most      (count)  of bytes that are removed; and one letter more
-- ARGV[6-] numbers  (number) of the letters
-- Returns {count, done}: removed · how many of the numbers were looked at, the others are for the next call
-- Complexity O(numbers)
local redis_call = redis.call
local K_stats = KEYS[8]
local K_dead = KEYS[9]
-- The starts of the ranges of due.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
local K_ms_text = string.sub(K_us_text, 1, 13)
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis_call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local KEPT = 1000 -- actions that are remembered

local audit, most = KEYS[10], tonumber(ARGV[5])
local count, bytes, done = 0, 0, 0
for i = 6, #ARGV do
  if bytes >= most then
    break
  end
  local remove_letter_1
  do -- remove_letter(ARGV[i])
    local number = ARGV[i]
    local row = redis_call('HGET', K_dead, 'n ' .. number)
    local older, newer, of, name = string.match(row or '', '^(%d+) (%d+)( %S+) (.*)$')
    local bytes
    if name then
      bytes = redis_call('HSTRLEN', K_dead, 'm ' .. number)
      local before, after = string.match(redis_call('HGET', K_dead, 'g ' .. number) or '0 0', '^(%d+) (%d+)$')
      redis_call('HDEL', K_dead, 'n ' .. number, 'g ' .. number, 'l ' .. number, 'm ' .. number)
      do -- link('n ', '', older, newer)
        local kind, of = 'n ', ''
        local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
        local before, after = 'oldest' .. of, 'newest' .. of
        local following, preceding = newer, older
        if rows[1] then
          before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
        end
        if rows[2] then
          after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
        end
        redis_call('HSET', K_dead, before, following, after, preceding)
      end
      do -- link('g ', of, before, after)
        local kind, older, newer = 'g ', before, after
        local rows = redis_call('HMGET', K_dead, kind .. older, kind .. newer)
        local before, after = 'oldest' .. of, 'newest' .. of
        local following, preceding = newer, older
        if rows[1] then
          before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
        end
        if rows[2] then
          after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
        end
        redis_call('HSET', K_dead, before, following, after, preceding)
      end
      if redis_call('HINCRBY', K_dead, 'count' .. of, -1) <= 0 then
        redis_call('HDEL', K_dead, 'oldest' .. of, 'newest' .. of, 'count' .. of)
      end
      local numbers = ' ' .. (redis_call('HGET', K_dead, 'i ' .. name) or '') .. ' '
      local rest = string.match(string.gsub(numbers, ' ' .. number .. ' ', ' '), '^ (.*) $')
      if rest then
        redis_call('HSET', K_dead, 'i ' .. name, rest)
      else
        redis_call('HDEL', K_dead, 'i ' .. name)
      end
      if redis_call('HINCRBY', K_dead, 'count', -1) <= 0 then
        redis_call('DEL', K_dead)
      end
    end
    remove_letter_1 = bytes
  end
  local size = remove_letter_1
  count, bytes, done = count + (size and 1 or 0), bytes + (size or 0), done + 1
end
if count > 0 then
  redis_call('HINCRBY', K_stats, 'dead_letters_discarded', count)
  do -- note(audit, ARGV[3])
    local text = ARGV[3]
    if text ~= '' then
      redis_call('LPUSH', audit, K_ms_text .. ' ' .. text)
      redis_call('LTRIM', audit, 0, KEPT - 1)
    end
  end
end
local keep_answer_2
do -- keep_answer({ count, done })
  local reply = { count, done }
  redis_call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  keep_answer_2 = reply
end
return keep_answer_2
