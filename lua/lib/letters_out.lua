-- Removes dead letters, see lib/letters.lua.
--@include keys letters
local EXPIRED = 50 -- letters that one call removes for their number and age
local EXPIRED_BYTES = 4000000 -- of them; and one letter more

-- Remove a letter. Returns its bytes, without those of its front; nothing when it is gone already.
local function remove_letter(number)
  local row = redis.call('HGET', K.dead, 'n ' .. number)
  local older, newer, of, name = string.match(row or '', '^(%d+) (%d+)( %S+) (.*)$')
  local bytes
  if name then
    bytes = redis.call('HSTRLEN', K.dead, 'm ' .. number)
    local before, after = string.match(redis.call('HGET', K.dead, 'g ' .. number) or '0 0', '^(%d+) (%d+)$')
    redis.call('HDEL', K.dead, 'n ' .. number, 'g ' .. number, 'l ' .. number, 'm ' .. number)
    link('n ', '', older, newer)
    link('g ', of, before, after)
    if redis.call('HINCRBY', K.dead, 'count' .. of, -1) <= 0 then
      redis.call('HDEL', K.dead, 'oldest' .. of, 'newest' .. of, 'count' .. of)
    end
    local numbers = ' ' .. (redis.call('HGET', K.dead, 'i ' .. name) or '') .. ' '
    local rest = string.match(string.gsub(numbers, ' ' .. number .. ' ', ' '), '^ (.*) $')
    if rest then
      redis.call('HSET', K.dead, 'i ' .. name, rest)
    else
      redis.call('HDEL', K.dead, 'i ' .. name)
    end
    if redis.call('HINCRBY', K.dead, 'count', -1) <= 0 then
      redis.call('DEL', K.dead)
    end
  end
  return bytes
end

-- Returns the text of a letter's entry; nothing when the letter is gone.
local function text_of_letter(number)
  local front = string.match(redis.call('HGET', K.dead, 'l ' .. number) or '', '\n(.*)$')
  local text = front and front .. (redis.call('HGET', K.dead, 'm ' .. number) or '')
  return text
end

-- Remove the oldest letters: those beyond a number of them, and those that are older than a time (us). Returns whether
-- it removed as many as one call may: there may be more.
local function expire_letters(most, age)
  local gone, bytes = 0, 0
  local kept = redis.call('HMGET', K.dead, 'oldest', 'count')
  while kept[1] and gone < EXPIRED and bytes < EXPIRED_BYTES
    and (tonumber(kept[2]) > most or tonumber(kept[1]) < tonumber(K.us_text) - age) do
    local size = remove_letter(kept[1])
    gone, bytes = gone + 1, bytes + size
    kept = redis.call('HMGET', K.dead, 'oldest', 'count')
  end
  if gone > 0 then
    redis.call('HINCRBY', K.stats, 'dead_letters_expired', gone)
  end
  return gone == EXPIRED or bytes >= EXPIRED_BYTES
end
