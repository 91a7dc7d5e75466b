-- cancel: end entries that are cut off their lines, and whose states the result backend knows by now; many groups in a
-- call. See fail.lua and cut.lua.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10-] parts   (list)   of each group the part that is cut off its line, and the line
-- ARGV[1-2]         clock, tag
-- ARGV[3] claim     (ms)     how long what is left of the parts is left to the caller
-- ARGV[4-] group, fence, told    of each group; of the part; the first of its places, as the caller saw them, in lines
-- Returns {[queue, message]...} to publish
-- Complexity O(places · log groups)
--@include keys clock write record flag entry advance withdraw part
local SLACK = 100 -- places of entries that are gone, on top of those that were told
local out, removed = {}, 0
for at = 4, #ARGV, 3 do
  local group, fence, part, line = ARGV[at], ARGV[at + 1], KEYS[10 + (at - 4) / 3 * 2], KEYS[11 + (at - 4) / 3 * 2]
  local g, told, many, gone, last = open_group(group), {}, 0, {}, 0
  for item in string.gmatch(ARGV[at + 2], '[^\n]+') do
    told[item], many = true, many + 1
  end
  local items, ids, texts = read_part(part, many + SLACK)
  for i = 1, #items do -- another process may have ended what this one has told, and nothing else
    local stands = is_of_place(texts[i], items[i])
    if stands and not told[items[i]] then
      break
    end
    gone[#gone + 1], last = stands and ids[i] or nil, i
  end
  redis.call('LTRIM', part, last, -1)
  if has_flag(g, 'i') or has_flag(g, 'k') then
    for i = 1, #gone do
      local _ = withdraw(gone[i], group, g)
    end
  elseif #gone > 0 then
    removed = removed + redis.call('HDEL', K.entries, unpack(gone))
  end
  add_to(g, 'aside', -#gone)
  local member = 'd ' .. group .. ' ' .. fence
  if redis.call('EXISTS', part) == 1 then
    redis.call('ZADD', K.due, K.REST + now_ms() + ARGV[3], member)
    write_group(group, g)
  else
    if redis.call('ZREM', K.due, member) == 1 then
      drop_mark(g, 'c')
    end
    advance({}, line, group, g, out)
  end
end
if removed > 0 then
  redis.call('HINCRBY', K.stats, 'tasks_removed', removed)
  redis.call('HINCRBY', K.stats, 'tasks_revoked', removed)
end
return out
