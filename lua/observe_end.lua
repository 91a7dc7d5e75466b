-- observe_end: note that runs are over, or that they still go on.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] observed  (hash)   group -> its observations, see lib/observed.lua
-- KEYS[11] ages      (zset)   group -> when it was seen last (ms)
-- KEYS[12] totals    (hash)   counts of all groups
-- ARGV[1-2]          clock, tag
-- ARGV[3] lasts      (ms)     they count as running for so long; 0: they are over
-- ARGV[4-] group, id, call  of each
-- Returns the number of those that were running
-- Complexity O(runs · log groups)
--@include clock observed
local lasts, found = tonumber(ARGV[3]), 0

for i = 4, #ARGV, 3 do
  local group, id = ARGV[i], ARGV[i + 1]
  local s = open_observed(group)
  local run = s.runs[id]
  if run and run.call == ARGV[i + 2] then
    found = found + 1
    run.ends = now_ms() + lasts
    s.runs[id] = lasts > 0 and run or nil
    write_observed(group, s)
  end
end
return found
