-- surrender: take heads back from a worker that surrenders them. They go to the broker again at once.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10-] lists  (list)   the broker's lists that the caller knows
-- ARGV[1-2]        clock, tag
-- ARGV[3] named    (count)  lists
-- ARGV[4-] queues  (text)   their names
-- ARGV[..] group, id, fence, lost  of each: lost is 1 when a worker was lost with it, else 0
-- Returns {count, [queue, message]...}: surrendered · to publish
-- Complexity O(entries · log on_the_way)
--@include keys clock record entry release run resume follow again begins
local count = tonumber(ARGV[3])
local lists, out, given = named_lists(10, 4, count), {}, 0

for i = 4 + count, #ARGV, 4 do
  local group, id, fence, lost = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local g = open_group(group)
  local r = running(g, id, fence)
  if r then
    if lost == '1' then -- else its task has not started
      note_begin(group, g, r)
    end
    r.lost = digits(tonumber(r.lost) + tonumber(lost))
    leave_followers(g, r, tonumber(lost))
    resume(lists, group, g, r, out, true)
    given = given + 1
  else -- it may be a repetition of this call
    local other = record_of(g, id)
    if other then
      ask_again(lists, other, out)
    end
  end
end
if given > 0 then -- a full Redis refuses it, unless memory was freed before
  redis.call('HINCRBY', K.stats, 'tasks_surrendered', given)
end
return { given, unpack(out) }
