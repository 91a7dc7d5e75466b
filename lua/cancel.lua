-- cancel: end entries that are cut off their lines, and whose states the result backend knows by now; many groups in a
-- call. See fail.lua and cut.lua.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10-] parts   (list)   of each group the part that is cut off its line, and the line
-- ARGV[1-2]         clock, tag
-- ARGV[3] claim     (ms)     how long what is left of the parts is left to the caller
-- ARGV[4-] group, fence, seen, told   of each group; of the part; number of its first places that the caller has read;
--                            those of them that were told, in lines
-- Returns {aside, [queue, message]...}: of each group 1 where entries are aside that are not in this part, else 0 · to
--         publish
-- Complexity O(places · log groups)
--@include keys clock write record flag entry advance withdraw part plainly cancel_plainly
local claim, out, removed, asides = tonumber(ARGV[3]), {}, 0, {}
read_states(4, 4)
for at = 4, #ARGV, 4 do
  local group, fence, seen, told = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local part, line = KEYS[10 + (at - 4) / 2], KEYS[11 + (at - 4) / 2]
  local g, member = open_group(group), 'd ' .. group .. ' ' .. fence
  local done = cancel_plainly(line, part, group, g, member, seen, told)
  if not done then
    local items = redis.call('LRANGE', part, 0, seen - 1)
    local last, gone = #items, {}
    if string.find(g.flags, '[ikv]') or table.concat(items, '\n') ~= told then
      last, gone = told_of_part(items, told)
    else
      for i = 1, #items do
        gone[i] = string.sub(items[i], 18)
      end
    end
    local count = #gone
    if string.find(g.flags, '[ik]') then
      for i = 1, #gone do
        local _ = withdraw(gone[i], group, g)
      end
    elseif #gone > 0 then
      count = redis.call('HDEL', K.entries, unpack(gone))
      removed = removed + count
    end
    add_to(g, 'aside', -count)
    redis.call('LTRIM', part, last, -1)
    if redis.call('EXISTS', part) == 1 then
      redis.call('ZADD', K.due, K.REST + now_ms() + claim, member)
      write_group(group, g)
    else
      if redis.call('ZREM', K.due, member) == 1 then
        drop_mark(g, 'c')
      end
      if not has_flag(g, 'c') then
        drop_mark(g, 'v')
      end
      advance({}, line, group, g, out)
    end
  end
  asides[#asides + 1] = g.aside == '0' and '0' or '1'
end
write_all()
if removed > 0 then
  redis.call('HINCRBY', K.stats, 'tasks_removed', removed)
  redis.call('HINCRBY', K.stats, 'tasks_revoked', removed)
end
return { table.concat(asides), unpack(out) }
