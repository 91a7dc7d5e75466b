-- Keeps the words of runs that a worker has forgotten because Redis has lost their ends, see lib/run.lua.
--@include keys record entry

-- A lane is about to be used again: the run that was in it is over, as far as its worker knows.
-- Timeline of one that is not over here: its end is answered, and Redis loses it, as a replica that takes over may. The
-- worker does not name that run any more, and its next begin would write over the only words by which it is found. So
-- these get a lane of their own, which no worker names: a renewal finds the run there, or who takes its heads back.
local function keep_forgotten(runs, lane, owner)
  local said = redis.call('HGET', runs, lane)
  local call, group, id = string.match(said or '', '^(%S+) (%S+) (%S+) ')
  local other = call and group .. id ~= '--' and record_of(open_group(group), id)
  if other and other.state == 'r' and other.owner == owner and other.call == call then
    redis.call('HSET', runs, lane .. K.us_text, said)
  end
end
