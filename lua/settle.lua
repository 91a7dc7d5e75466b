-- settle: end followers of a run that is about to end. Those without an outcome go back to the front of their line.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] id       (text)  of the run
-- ARGV[4] group    (text)
-- ARGV[5] fence    (number)
-- ARGV[6] ended    (count) followers that are over
-- ARGV[7-] ids     (text)  theirs, and those of followers that stay, as their own end comes; see fail.lua
-- Returns 1 done, now or before · 0 the run is stale
-- Complexity O(under way)
--@include keys write entry identity run
local line, id, group, fence, ended = KEYS[10], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

local g, said, over = open_group(group), {}, {}
local r = running(g, id, fence)
if not r then
  return 0
end
for i = 7, #ARGV do
  said[ARGV[i]] = i < 7 + ended and 'ended' or 'stays'
end
free_group(group)
for at = #g, 1, -1 do
  local other = g[at]
  local outcome = said[other.id]
  local waits = other.stop == 'f' and other.state == 'h' -- since an earlier run, behind what this one has gathered
  if other.stop == 'f' and (waits or other.fence == fence) and outcome ~= 'stays' then
    table.remove(g, at)
    if outcome then
      over[#over + 1] = other.id
      free_identity(other.id, group, g, true)
    else
      local entry, corrupt = read_entry(other.id)
      if entry then
        redis.call('LPUSH', line, entry.us .. ' ' .. other.id)
      else
        set_aside(other.id, group, corrupt and 'corrupt' or 'missing', corrupt)
      end
    end
  end
end
if over[1] then
  redis.call('HDEL', K.entries, unpack(over))
  redis.call('HINCRBY', K.stats, 'tasks_finished', #over)
end
write_group(group, g)
return 1
