-- Runs: a worker has one lease for all of them, "w owner" in due, and a hash of its runs.
--
--   lane -> "<call> <group> <id> <due>"   the last call that concerned the run in this lane of the worker, and the run
--                                         that it began; - - when it began none. due: when the continuation of the run
--                                         that it ended is due (ms), else -. It is the answer to a repetition.
--   <lane><us> -> the same, when the lane was used again though its run was not over, see lib/forgotten.lua
--   a<lane> -> the same, when the heads of the worker were taken back: its lanes are new ones then
--   sweep, rerelease, reclaim -> "<call> <id>..."   the tickets to publish of the worker's last call, see lib/again.lua
--
-- What a lost worker had is found in its hash, so no run is begun without its place there.
--@include keys clock record flag freed

-- Note the call in its lane. A new lane may be that of a worker whose lease was over: it has one again. The hash lasts
-- until the heads were taken back: time goes on while Redis stands still or is down, and nobody renews.
local function keep_lane(runs, lane, said, owner, ttl)
  if redis.call('HSET', runs, lane, said) == 1 then
    redis.call('PERSIST', runs)
    redis.call('ZADD', K.due, now_ms() + ttl, 'w ' .. owner)
  end
end

-- Returns the words of the last call in a lane; nothing when there was none.
local function lane_words(runs, lane)
  local said = redis.call('HGET', runs, lane) or redis.call('HGET', runs, 'a' .. lane)
  local call, group, id, due = string.match(said or '', '^(%S+) (%S+) (%S+) (%S+)$')
  return call, group, id, due
end

-- Let a worker run an entry; the caller writes the group, and the lane.
local function start_run(r, fence, owner, call)
  r.state, r.fence, r.since, r.owner, r.call = 'r', fence, K.ms_text, owner, call
end

-- The ticket has reached a worker, which begins its task. Returns the fence of the run, and the caller writes the
-- group; nothing when the ticket counts no more.
-- Timeline of a fence that the ticket brings: a head is released and begun, Redis loses the begin, the ticket stands in
-- its list again, and a second run has the fence of the first one. So it is drawn here, by the time of the begin.
-- noted: older ones of the same list that are still on their way were lost, see rerelease.lua. One that went to the
-- list's front tells nothing of them.
local function begin_run(group, g, id, drawn, owner, call, noted)
  local r, fence = record_of(g, id), nil
  if r and r.release == drawn and r.state == 'w' then
    redis.call('ZREM', K.on_the_way, r.queue .. ' ' .. drawn .. ' ' .. group)
    local begun = noted and r.lost == '0' and (string.match(redis.call('HGET', K.begins, r.queue) or '', '^%d+') or '0')
    if begun and tonumber(begun) < tonumber(drawn) then
      redis.call('HSET', K.begins, r.queue, drawn .. ' ' .. K.ms_text)
    end
    if has_flag(g, 'f') then
      leave_turn(group, r)
    end
    fence = draw_number()
    start_run(r, fence, owner, call)
  end
  return fence
end

-- Returns the record of a run; nothing when it has lost its lease.
local function running(g, id, fence)
  local r = record_of(g, id)
  return r and r.state == 'r' and r.fence == fence and r or nil
end
