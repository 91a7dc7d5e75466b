-- observe_send: draw the place of a task in its group, as it is sent in plain Celery's way.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] observed  (hash)   group -> its observations, see lib/observed.lua
-- KEYS[11] ages      (zset)   group -> when it was seen last (ms)
-- KEYS[12] totals    (hash)   counts of all groups
-- ARGV[1-2]          clock, tag
-- ARGV[3] group      (text)
-- ARGV[4] id         (text)   of the task
-- Returns the place, from 1; the same when the call is repeated at once
-- Complexity O(log groups)
--@include observed
local group, id = ARGV[3], ARGV[4]

local s = open_observed(group)
if s.sent ~= id then
  s.place = s.place + 1
  s.sent = id
  write_observed(group, s)
end
return s.place
