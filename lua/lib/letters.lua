-- Keeps dead letters, in a chain from the oldest to the newest, and in a chain of each group.
--
-- dead (hash)  "n <number>"  "<older> <newer> <group> <entry>" of a letter; a neighbour that is not there is 0
--              "g <number>"  "<older> <newer>" of the letter among those of its group
--              "l <number>"  "<why>\n<the front of the entry's text>": who looks at letters needs no more
--              "m <number>"  the rest of a longer text
--              "i <entry>"   the numbers of the entry's letters, the oldest first
--              "oldest", "newest", "count", and "oldest <group>", "newest <group>", "count <group>"
-- A number is the time (us) at which the letter was written, or one more than the last one's. Why is JSON, or a word.
--@include keys clock
local FRONT = 8192 -- bytes: the headers of a message are shorter, unless somebody adds long ones

-- Make two letters neighbours in a chain; 0: it ends there. kind: of the rows, n or g; of: '' or a blank and the group.
local function link(kind, of, older, newer)
  local rows = redis.call('HMGET', K.dead, kind .. older, kind .. newer)
  local before, after = 'oldest' .. of, 'newest' .. of
  local following, preceding = newer, older
  if rows[1] then
    before, following = kind .. older, string.gsub(rows[1], '^(%d+) %d+', '%1 ' .. newer)
  end
  if rows[2] then
    after, preceding = kind .. newer, string.gsub(rows[2], '^%d+', older)
  end
  redis.call('HSET', K.dead, before, following, after, preceding)
end

-- Put a letter at the end of a chain.
local function append(kind, of, number)
  local newest = redis.call('HGET', K.dead, 'newest' .. of) or '0'
  link(kind, of, newest, number)
  link(kind, of, number, '0')
  redis.call('HINCRBY', K.dead, 'count' .. of, 1)
end

-- Keep a letter of an entry that leaves the gate.
local function write_letter(name, group, why, text)
  local newest, others = redis.call('HGET', K.dead, 'newest') or '0', redis.call('HGET', K.dead, 'i ' .. name)
  local number = digits(math.max(newest + 1, tonumber(K.us_text)))
  redis.call('HSET', K.dead, 'n ' .. number, '0 0 ' .. group .. ' ' .. name, 'g ' .. number, '0 0',
    'l ' .. number, why .. '\n' .. string.sub(text, 1, FRONT), 'i ' .. name, (others and others .. ' ' or '') .. number)
  if #text > FRONT then
    redis.call('HSET', K.dead, 'm ' .. number, string.sub(text, FRONT + 1))
  end
  append('n ', '', number)
  append('g ', ' ' .. group, number)
  redis.call('HINCRBY', K.stats, 'tasks_dead_lettered', 1)
end
