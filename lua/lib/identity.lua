-- The identities of entries: a call is a duplicate of an entry with the same one, see lib/duplicate.lua. It is a dedup
-- key, or ';' and the task, where its id is not enough. They are in the hash of the begins, which every script has, and
-- which is not read as a whole.
--
--   "i <group> <identity>" -> "- <entry>..." the entries that have it, the newest last
--                             "<until> <entry>" it has ended, and its identity counts until then (ms)
--   "n <entry>"            -> "<keep> <identity>" and how long it counts after the end of the last run (ms)
--
-- A group with the mark i has entries with identities; other groups cost nothing.
--@include keys clock flag

-- Returns the other entries that have an identity, with blanks before each; empty: there are none.
local function others_of(field, id)
  local others = ''
  local names = string.match(redis.call('HGET', K.identities, field) or '', '^%- (.*)$')
  for name in string.gmatch(names or '', '%S+') do
    others = others .. (name == id and '' or ' ' .. name)
  end
  return others
end

-- An entry ends, and its identity with it. ran: after a run, so the identity may count for some time.
local function free_identity(id, group, g, ran)
  local said = has_flag(g, 'i') and redis.call('HGET', K.identities, 'n ' .. id)
  local after, identity = string.match(said or '', '^(%d+) (.*)$')
  if identity then
    local field = 'i ' .. group .. ' ' .. identity
    local others = others_of(field, id)
    redis.call('HDEL', K.identities, 'n ' .. id)
    if others ~= '' then
      redis.call('HSET', K.identities, field, '-' .. others)
    elseif ran and after ~= '0' then
      local till = digits(now_ms() + after)
      redis.call('HSET', K.identities, field, till .. ' ' .. id)
      redis.call('ZADD', K.due, K.REST + till, field)
    else
      redis.call('HDEL', K.identities, field)
    end
  end
end

-- Forget an identity whose time is over; the sweep does.
local function forget_identity(field)
  local till = string.match(redis.call('HGET', K.identities, field) or '', '^(%d+) ')
  if till and tonumber(till) > now_ms() then -- that of a later entry
    redis.call('ZADD', K.due, K.REST + till, field)
  else
    redis.call('ZREM', K.due, field)
    if till then
      redis.call('HDEL', K.identities, field)
    end
  end
end
