-- park: let an entry join the line of its group; the first one is released at once.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] line      (list)    "<parked us> <id>" of the group's parked entries, head first
-- KEYS[11] producer  (string)  "<last number>" of this producer, then id and text of the entry that it dropped
-- KEYS[12] wake      (list)    wakes one sweeping worker
-- KEYS[13] list      (list)    the broker's list of the entry's queue; absent on other brokers
-- ARGV[1-2]          clock, tag
-- ARGV[3]  id        (text)
-- ARGV[4]  group     (text)
-- ARGV[5]  entry     (bytes)   "<group> <queue> <cut>\n<message>"; cut: where the message's second ticket goes
-- ARGV[6]  number    (text)    of this producer's parks, from 1; of many in one round trip see lib/number.lua
-- ARGV[7]  delay     (ms)      joins the line later; absent or 0: now
-- ARGV[8]  replaces  (0 | 1)   the id is of a running task: the same group keeps its place, another joins its own line;
--                              absent with `delay`
-- ARGV[9]  most      (count)   parked entries that the group may have; absent or '': any number
-- ARGV[10] drops     (0 | 1)   the oldest one makes room; absent with `most`
-- ARGV[11] limits    (text)    of the entry, see lib/limits.lua; absent or '': none
-- ARGV[12] identity  (text)    of the call, see lib/identity.lua; absent or '': its id
-- ARGV[13] after     (ms)      how long the identity counts after the end; absent with `identity`
-- ARGV[14] latest    (0 | 1)   it is parked also while others with the identity are under way; absent with `identity`
-- ARGV[15] value     (text)    with a delay: that is its window, see lib/window.lua; absent: it has none
-- Returns 1 parked · {1, queue, message} the same; to publish when given
--         · {2, [queue, message]...} parked by this call before
--         · {3, id, entry, [queue, message]...} parked, now or before, and the entry that made room
--         · {-1, entry, where} there is a duplicate: the id's own when it is not named; where it is, see lib/claim.lua
--         · {-2} the group is draining · {-3} it is full
-- Complexity O(1); O(log due) with a delay
--@include keys group write flag entry number schedule first release advance told replace overflow claim duplicate said
local line, producer, wake, list, group, number = KEYS[10], KEYS[11], KEYS[12], KEYS[13], ARGV[4], ARGV[6]
local queue, cut, from = string.match(ARGV[5], '^%S+ (%S+) (%d+)\n()')
local delay, replaces, most = tonumber(ARGV[7] or 0), ARGV[8], tonumber(ARGV[9] or '')

local us, busy, limits, identity = K.us_text, is_busy(group), limits_text(ARGV[11]), ARGV[12] ~= '' and ARGV[12] or nil
local g = (most or identity or not busy) and open_group(group)
local text = us .. ' ' .. string.sub(ARGV[5], 1, from - 2) .. limits .. '\n' .. string.sub(ARGV[5], from)
local refused = g and (has_flag(g, 'd') and -2 or is_full(line, g, most) and -3)
local id, holder, where = name_call(group, g, producer, number, ARGV[3], identity, ARGV[14], replaces)
if holder then
  refuse_early(producer, KEEP, number, '-1|' .. holder .. '|' .. where)
  return { -1, holder, where }
end

-- The place is written first: a foreign key of the line's name stops the script before any other write.
local joins = delay <= 0 and not refused
local first = joins and redis.call('RPUSHX', line, us .. ' ' .. id) == 0
local known = refused and redis.call('HEXISTS', K.entries, id) == 1
  or not refused and redis.call('HSETNX', K.entries, id, text) == 0
local last, repeated, told = keep_number(producer, number, KEEP)

local lists, out, name, r = { [queue] = list }, {}, nil, nil
local drops = refused == -3 and ARGV[10] == '1' and not known and not repeated
if drops then
  refused, first = make_room(line, group, g, id, text, delay, out, producer, number, KEEP)
end
if known and not repeated then
  name, r, g = name_replacement(id, group, replaces)
end
if (known or repeated) and joins and not first then
  redis.call('RPOP', line) -- it has, or had, its place already
end
if repeated then
  if not known and not refused then
    redis.call('HDEL', K.entries, id)
  end
  return answer_again(lists, group, last, told, out)
elseif known and not name or refused and not r then
  local code = known and not name and -1 or refused
  restore_number(producer, last, KEEP, number, code) -- a repetition gets this answer, too
  return { code }
elseif r then
  store_continuation(group, r, queue, cut, string.sub(ARGV[5], from), delay)
  write_group(group, g)
  return { 1 }
elseif known then
  id, g = name, not busy and open_group(group)
  redis.call('HSET', K.entries, id, text)
end

claim_new(group, g, identity, ARGV[13], ARGV[14], ARGV[3], id)
if delay > 0 then
  g = open_group(group)
  schedule(group, g, id, delay, wake, ARGV[15])
elseif first and not busy and #g == 0 and not has_flag(g, 'p') then -- no entry is before it
  release_first(lists, group, g, id, queue, cut, limits, text, #ARGV[5] - from + 1, out, wake)
else
  if known or first then
    redis.call('RPUSH', line, us .. ' ' .. id)
  end
  if not busy and (#g == 0 or has_flag(g, 'n')) then
    advance(lists, line, group, g, out)
  end
end
return { drops and 3 or 1, out[1], out[2], out[3], out[4] }
