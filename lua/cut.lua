-- cut: cut what does not run off groups, so that it never starts, and read it; many groups in a call. See cancel.lua.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] wake     (list)   wakes one sweeping worker: a tenant's next head may go out
-- KEYS[12-] lines   (list)   of each group its line, and the part that is cut off it
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] bound     (us)     entries parked later are left; 0: nothing is cut off, only read
-- ARGV[5] claim     (ms)     how long the parts are left to the caller
-- ARGV[6] limit     (count)  places that are moved or read
-- ARGV[7] most      (bytes)  of entries in the answer; and one entry more
-- ARGV[8-] group, fence, names   of each group; of the part; of entries that wait for an ETA, with blanks between
-- Returns {noted, places, texts, [queue, message]...}: 1 when something was cut off · "<count> <code> <failed>" of each
--         group, and below it "<bytes> <us> <id>" of its entries; the caller calls again with the other groups; see
--         cutting.py for the code; heads that had failed, and are gone · the texts of entries, joined · to publish
-- Complexity O(limit · log groups)
--@include keys clock write flag entry advance operate freed bell cut part
local audit, wake = KEYS[10], KEYS[11]
local bound, claim, limit, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local places, texts, out, done, cut, bytes = {}, {}, {}, 0, 0, 0
while 8 + 3 * done <= #ARGV and limit > 0 and bytes < most do
  local group, fence, names = ARGV[8 + 3 * done], ARGV[9 + 3 * done], ARGV[10 + 3 * done]
  local line, part = KEYS[12 + 2 * done], KEYS[13 + 2 * done]
  local g, code, failed = open_group(group), 0, 0
  if has_flag(g, 'k') and bound > 0 then
    code = 4
  elseif bound > 0 then
    local moved, more = cut_line(line, part, g, limit, bound)
    code = more and 1 or 0
    if not more then -- the head comes last: otherwise the next entry would go out
      local heads, gone = cut_heads(part, group, g, bound)
      local due = cut_scheduled(part, group, g, names, bound)
      cut, failed = cut + heads + gone + due, gone
    end
    cut, limit = cut + moved, limit - (more and moved or 0)
  end
  local head, count = #places + 1, 0
  places[head] = ''
  if code ~= 4 then
    local items, _, found = read_part(part, math.max(limit, 1))
    local read = 0
    while read < #items and bytes < most do
      read = read + 1
      local stands = is_of_place(found[read], items[read])
      if stands then
        local text = found[read]
        count, bytes = count + 1, bytes + #text
        places[head + count], texts[#texts + 1] = #text .. ' ' .. items[read], text
      end
    end
    limit = limit - read - 1
    local length = redis.call('LLEN', part)
    code = (code == 1 or length > read) and 1 or 0
    if code == 0 and tonumber(g.aside) > count and not has_flag(g, 'k') then
      code = 2
    end
    local member = 'd ' .. group .. ' ' .. fence
    if length > 0 and redis.call('ZADD', K.due, K.REST + now_ms() + claim, member) == 1 then
      add_mark(g, 'c')
    end
    if bound > 0 then
      if code == 1 then
        write_group(group, g)
      else
        advance({}, line, group, g, out)
      end
    end
  end
  places[head] = count .. ' ' .. code .. ' ' .. failed
  done = done + 1
end
if freed then
  ring(wake)
end
local newest = cut > 0 and redis.call('LINDEX', audit, 0) or ''
if cut > 0 and (tonumber(string.match(newest, '^%d+') or 0) < bound / 1000 or string.sub(newest, 15) ~= ARGV[3]) then
  note(audit, ARGV[3]) -- else it is a repetition of the call that has noted it
end
return { cut > 0 and 1 or 0, table.concat(places, '\n'), table.concat(texts), unpack(out) }
