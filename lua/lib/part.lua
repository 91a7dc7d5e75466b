-- Parts that are cut off lines, see cut.lua and cancel.lua.
--@include keys

-- Returns whether an entry's text is that of a place; so is an unreadable one.
local function is_of_place(text, item)
  return text and (string.sub(text, 1, 17) == string.sub(item, 1, 17)
    or not string.find(text, '^%d+ %S+ %S+ %d+%f[ \n][^\n]*\n'))
end

-- Returns the first places of a part, the names of their entries, and their texts.
local function read_part(part, limit)
  local items, ids = redis.call('LRANGE', part, 0, limit - 1), {}
  for i = 1, #items do
    ids[i] = string.match(items[i], '^%d+ (.*)$') or ''
  end
  local texts = #ids > 0 and redis.call('HMGET', K.entries, unpack(ids)) or {}
  return items, ids, texts
end
