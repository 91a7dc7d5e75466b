-- discard: remove dead letters.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] most      (count)  of bytes that are removed; and one letter more
-- ARGV[6-] numbers  (number) of the letters
-- Returns {count, done}: removed · how many of the numbers were looked at, the others are for the next call
-- Complexity O(numbers)
--@include keys letters_out once operate
local audit, most = KEYS[10], tonumber(ARGV[5])
local count, bytes, done = 0, 0, 0
for i = 6, #ARGV do
  if bytes >= most then
    break
  end
  local size = remove_letter(ARGV[i])
  count, bytes, done = count + (size and 1 or 0), bytes + (size or 0), done + 1
end
if count > 0 then
  redis.call('HINCRBY', K.stats, 'dead_letters_discarded', count)
  note(audit, ARGV[3])
end
return keep_answer({ count, done })
