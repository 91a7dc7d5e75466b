-- cancel: end entries that a failed run has cut off their line, a number per call; see fail.lua.
--
-- KEYS[1-9]       the gate's own, see lib/keys.lua
-- KEYS[10] cut_off (list)   places, head first
-- KEYS[11] answer (string) of this action's last call
-- KEYS[12] line    (list)  of the group
-- ARGV[1-2]       clock, tag
-- ARGV[3] member  (text)   of due
-- ARGV[4] call    (number) of this action, from 1
-- ARGV[5] group   (text)
-- ARGV[6] limit   (count)
-- ARGV[7] most    (bytes)  of entries in one answer; and one entry more
-- Returns {[id, entry]...} taken out
-- Complexity O(limit · log groups)
--@include keys clock write record flag entry advance once operate withdraw
local cut_off, line = KEYS[10], KEYS[12]
local member, group, limit, most = ARGV[3], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

local gone, bytes, g = {}, 0, open_group(group)
for _ = 1, limit do
  local item = bytes < most and redis.call('LPOP', cut_off)
  if not item then
    break
  end
  local us, id = string.match(item, '^(%d+) (.*)$')
  if text_in_line(us, id or '') then -- else it was revoked
    local text = withdraw(id, group, g)
    add_to(g, 'aside', -1)
    if text ~= '' then
      gone[#gone + 1] = id
      gone[#gone + 1] = text
    end
    bytes = bytes + #text
  end
end
if redis.call('EXISTS', cut_off) == 1 then
  redis.call('ZADD', K.due, K.REST + now_ms(), member)
  write_group(group, g)
else
  if redis.call('ZREM', K.due, member) == 1 then
    drop_mark(g, 'c')
  end
  if has_flag(g, 'k') then -- a sweep has a caller that brings the ticket of its next head out
    write_group(group, g)
    redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group)
  else
    advance({}, line, group, g, {})
  end
end
return keep_answer(gone)
