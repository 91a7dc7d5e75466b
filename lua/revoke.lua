-- revoke: take out an entry that does not run yet; the group goes on.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] line     (list)  of the group
-- KEYS[11] producer (string) "<last number>" of the caller
-- KEYS[12] audit    (list)   the actions of operators, newest first
-- KEYS[13] wake     (list)   wakes one sweeping worker: a tenant or another group may go on
-- ARGV[1-2]         clock, tag
-- ARGV[3] id        (text)
-- ARGV[4] group     (text)
-- ARGV[5] number    (count) of this caller's calls, from 1
-- ARGV[6] keep      (ms)    how long the caller's number is remembered
-- ARGV[7] note      (text)  for the audit; empty: no operator does it
-- ARGV[8] place     (text)  "<us> <number>": where the entry that was parked then stands in line, -1 it does not;
--                           empty: it is not known
-- Returns {1, [queue, message]...} taken out, by this call, now or before; to publish · {0} unknown
--         · {2} it runs · {3, us} the caller looks for its place in line, and calls again
-- Complexity O(log groups): its place in the line stays, empty, until it is the first one; O(empty places) then
--@include keys record flag entry advance again operate withdraw freed bell stand_in trim
local line, producer, audit, wake = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, count, keep = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local MOVED = 1000 -- places that the line may have moved since the caller looked
local TRIMMED = 500 -- empty places that one call takes off the front

local g, out = open_group(group), {}
if count <= tonumber(string.match(redis.call('GET', producer) or '0', '^%d+')) then
  heads_again({}, g, out) -- the reply was lost
  return { 1, unpack(out) }
end
local entry, r = read_entry(id), record_of(g, id)
if not entry or entry.group ~= group then -- an unreadable one is set aside when its turn comes
  return { 0 }
elseif r and r.state == 'r' then
  return { 2 }
elseif r and r.stop == 'b' then -- it has failed: retry, skip or drop decide on it
  return { 0 }
end
local in_line = true
if not r and has_flag(g, 'c') and not redis.call('ZSCORE', K.due, 'e ' .. group .. ' ' .. id) then
  local us, at = string.match(ARGV[8], '^(%d+) (%-?%d+)$')
  in_line, at = false, tonumber(at)
  for _, item in ipairs(at and at >= 0 and redis.call('LRANGE', line, math.max(at - MOVED, 0), at) or {}) do
    in_line = in_line or item == entry.us .. ' ' .. id
  end
  if us ~= entry.us or not in_line and at >= 0 then
    return { 3, entry.us }
  end
end
local aside = g.aside
withdraw(id, group, g)
if not r and g.aside == aside then -- its place stays behind, in the line or in a part that is cut off
  if not in_line then
    add_to(g, 'aside', -1)
    if not has_flag(g, 'v') then
      add_mark(g, 'v')
    end
  else
    add_to(g, 'empty', 1)
    trim_front(line, group, g, TRIMMED)
  end
end
redis.call('SET', producer, ARGV[5], 'PX', keep)
advance({}, line, group, g, out)
local sweeps = needs_sweep() -- other groups of a task that was taken out go on
if freed or sweeps then
  ring(wake)
end
note(audit, ARGV[7])
return { 1, unpack(out) }
