-- The followers of a run: entries that it has gathered behind its own and executes with it, a batch. See gather.lua.
--
-- They have records of their own behind that of their leader, the run's: running, with its owner, call and fence. Their
-- stop is f as long as they follow: the worker's hash has the leader alone, and whatever ends its run ends theirs.
--@include keys clock resume

-- A run is over without an outcome: its followers wait behind its entry, in their order, for their turn. lost: workers
-- that were lost with them.
local function leave_followers(g, r, lost)
  for _, other in ipairs(g) do
    if other.stop == 'f' and other.state == 'r' and other.fence == r.fence then
      other.state, other.fence, other.owner, other.call, other.since = 'h', '-', '-', '-', K.ms_text
      other.lost = digits(tonumber(other.lost) + lost)
      mark_redelivered(other.id)
    end
  end
end
