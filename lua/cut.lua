-- cut: cut what does not run off groups, so that it never starts, and say what was cut off; many groups in a call. The
-- caller reads the entries by itself, as each text that comes into a script costs it microseconds. See cancel.lua.
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
-- ARGV[7-] group, fence, names   of each group; of the part; of entries that wait for an ETA, with blanks between
-- Returns {noted, places, [queue, message]...}: 1 when something was cut off · "<count> <code> <failed>" of each group,
--         and below it its first places; the caller calls again with the other groups; see cutting.py for the code;
--         heads that had failed, and are gone · to publish
-- Complexity O(limit · log groups)
--@include keys clock write flag entry advance operate freed bell cut cut_heads plainly cut_plainly
local audit, wake = KEYS[10], KEYS[11]
local bound, claim, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local places, out, done, cut, due_at = {}, {}, 0, 0, K.REST + now_ms() + claim
if bound > 0 then
  read_states(7, 3)
end
while 7 + 3 * done <= #ARGV and limit > 0 do
  local group, fence, names = ARGV[7 + 3 * done], ARGV[8 + 3 * done], ARGV[9 + 3 * done]
  local line, part = KEYS[12 + 2 * done], KEYS[13 + 2 * done]
  local member = 'd ' .. group .. ' ' .. fence
  local g, code, failed, items = open_group(group), 4, 0, nil
  if bound > 0 and names == '' then
    items = cut_plainly(line, part, group, g, member, bound, limit, due_at)
  end
  if items then
    code, cut, limit = 0, cut + #items, limit - #items - 1
  elseif bound == 0 or not has_flag(g, 'k') then
    local moved, more = 0, false
    if bound > 0 then
      moved, more = cut_line(line, part, g, limit, bound)
    end
    if bound > 0 and not more then -- the head comes last: otherwise the next entry would go out
      local heads, gone = cut_heads(part, group, g, bound)
      local due = cut_scheduled(part, group, g, names, bound)
      cut, failed = cut + heads + gone + due, gone
    end
    cut, limit = cut + moved, limit - (more and moved or 0)
    items = redis.call('LRANGE', part, 0, math.max(limit, 1))
    code = (more or #items > math.max(limit, 1)) and 1 or 0
    items[math.max(limit, 1) + 1] = nil
    limit = limit - #items - 1
    if #items > 0 then
      if redis.call('ZADD', K.due, due_at, member) == 1 then
        add_mark(g, 'c')
      end
    elseif g.aside ~= '0' then
      code = code + 2
    end
    if more then
      write_group(group, g)
    elseif bound > 0 then
      advance({}, line, group, g, out)
    end
  end
  items = items or {}
  places[#places + 1] = #items .. ' ' .. code .. ' ' .. failed
  for i = 1, #items do
    places[#places + 1] = items[i]
  end
  done = done + 1
end
write_all()
if freed then
  ring(wake)
end
local newest = cut > 0 and redis.call('LINDEX', audit, 0) or ''
if cut > 0 and (tonumber(string.match(newest, '^%d+') or 0) < bound / 1000 or string.sub(newest, 15) ~= ARGV[3]) then
  note(audit, ARGV[3]) -- else it is a repetition of the call that has noted it
end
return { cut > 0 and 1 or 0, table.concat(places, '\n'), unpack(out) }
