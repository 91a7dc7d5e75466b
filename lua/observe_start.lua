-- observe_start: count the start of a run that nothing has ordered, and see whether it breaks order or exclusion.
--
-- KEYS[1-9]          the gate's own, see lib/keys.lua
-- KEYS[10] observed  (hash)   group -> its observations, see lib/observed.lua
-- KEYS[11] ages      (zset)   group -> when it was seen last (ms)
-- KEYS[12] totals    (hash)   counts of all groups
-- ARGV[1-2]          clock, tag
-- ARGV[3]  group     (text)
-- ARGV[4]  id        (text)   of the task
-- ARGV[5]  task      (text)   its name
-- ARGV[6]  call      (text)   of this run, the same for a repetition
-- ARGV[7]  place     (count)  0: not known; -1: it has none, because of its ETA
-- ARGV[8]  again     (0 | 1)  it has run before: a retry, or a message that came again
-- ARGV[9]  most      (count)  runs of the group that may go on at once
-- ARGV[10] lasts     (ms)     it counts as running for so long, unless it is told again
-- ARGV[11] missed    (count)  starts that the caller could not tell before
-- Returns 1 counted · 0 it was, by this call before
-- Complexity O(runs of the group + log groups)
--@include clock observed
local group, id, call, place = ARGV[3], ARGV[4], ARGV[6], tonumber(ARGV[7])

local s, other, others = open_observed(group), nil, 0
if s.runs[id] and s.runs[id].call == call then
  return 0
end
for name, run in pairs(s.runs) do
  if run.ends <= now_ms() then
    s.runs[name] = nil
  elseif name ~= id then
    other, others = name, others + 1
  end
end
local example = { id = id, task = ARGV[5], at = now_ms() }
s.counts.runs = (s.counts.runs or 0) + 1
count('runs', 1)
if others >= tonumber(ARGV[9]) then
  example.other, example.other_task = other, s.runs[other].task
  count_breach(s, 'overlaps', example)
end
if place == 0 then
  count_breach(s, 'not_counted', example)
elseif place > 0 and place < s.high then
  example = { id = id, task = ARGV[5], at = now_ms(), other = s.id, other_task = s.task }
  count_breach(s, ARGV[8] == '1' and 'late_retries' or 'overtaken', example)
elseif place > s.high then
  s.high, s.id, s.task = place, id, ARGV[5]
end
if tonumber(ARGV[11]) > 0 then
  count('not_counted', tonumber(ARGV[11]))
end
if others < RUNS then
  s.runs[id] = { task = ARGV[5], call = call, ends = now_ms() + tonumber(ARGV[10]) }
end
write_observed(group, s)
return 1
