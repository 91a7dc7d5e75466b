-- The record of an entry in flight: one line of words without blanks.
--
--   state   released: its ticket is at the broker · running: a worker holds its lease ·
--           held: it waits for its due time
--   release number of its last release, which the ticket carries
--   fence   of the run that began since then, drawn when it began; before that -
--   lost    number of workers that were lost with it
--   since   time when it came into this state (ms)
--   owner   the worker that runs it, else -
--   call    the call that began it: makes a repeated begin harmless
--   due     time when a stored continuation may go out (ms), else -. While it runs: a replacement, see park.lua
--   stop    reason not to release it: p (its group is paused), b (it has failed, and blocks its group), else -
--   group, queue
--@include keys
-- Returns the record; nothing when there is none, and its text when it can't be read.
local function read_flight(id)
  local text = redis.call('HGET', K.flight, id)
  local state, drawn, fence, lost, since, owner, call, due, stop, group, queue =
    string.match(text or '', '^([^ ]+) (%d+) ([%d-]+) (%d+) (%d+) ([^ ]+) ([^ ]+) ([%d-]+) ([^ ]+) ([^ ]+) ([^ ]+)$')
  local r, corrupt
  if state then
    r = {
      state = state, release = drawn, fence = fence, lost = lost, since = since, owner = owner,
      call = call, due = due, stop = stop, group = group, queue = queue,
    }
  elseif text then
    corrupt = text
  end
  return r, corrupt
end

-- Returns when the continuation of a run may go out (ms), '-' when it has none; false when the run has no lease any
-- more. Nothing else is read.
local function due_of_run(id, fence, group)
  local state, begun, due, of = string.match(redis.call('HGET', K.flight, id) or '',
    '^([^ ]+) [^ ]+ ([^ ]+) %d+ [^ ]+ [^ ]+ [^ ]+ ([^ ]+) [^ ]+ ([^ ]+) [^ ]+$')
  return state == 'running' and begun == fence and of == group and due
end

local function write_flight(id, r)
  redis.call('HSET', K.flight, id, r.state .. ' ' .. r.release .. ' ' .. r.fence .. ' ' .. r.lost .. ' ' .. r.since
    .. ' ' .. r.owner .. ' ' .. r.call .. ' ' .. r.due .. ' ' .. r.stop .. ' ' .. r.group .. ' ' .. r.queue)
end

local function digits(value)
  return string.format('%.0f', value)
end

-- Draw the number of a release, or the fence of a run: max(last + 1, time). It grows over restarts, lost data,
-- failovers and jumps of the clock.
local function draw_number()
  local drawn = K.us_text
  local last = tonumber(redis.call('SET', K.fence, drawn, 'GET') or 0) or 0
  if last >= K.us then
    drawn = string.format('%.0f', last + 1)
    redis.call('SET', K.fence, drawn)
  end
  return drawn
end

-- Note that a worker has the lease. rest: due, stop, group and queue, as in the record.
local function lease(id, drawn, fence, lost, owner, call, ttl, rest)
  redis.call('HSET', K.flight, id, 'running ' .. drawn .. ' ' .. fence .. ' ' .. lost .. ' ' .. K.ms_text .. ' '
    .. owner .. ' ' .. call .. ' ' .. rest)
  redis.call('ZADD', K.due, K.ms + ttl, 'l ' .. id)
end

-- The ticket has reached a worker, which begins its task. Returns the fence of the run; nothing when the ticket counts
-- no more.
-- Timeline of a fence that the ticket brings: a head is released and begun, Redis loses the begin, the ticket stands in
-- its list again, and a second run has the fence of the first one. So it is drawn here, by the time of the begin.
-- noted: older ones of the same list that are still on their way were lost, see rerelease.lua. One that went to the
-- list's front tells nothing of them.
local function begin_run(id, drawn, owner, call, ttl, noted)
  local text = redis.call('HGET', K.flight, id)
  local current, lost, rest, queue =
    string.match(text or '', '^released ([^ ]+) [^ ]+ (%d+) [^ ]+ [^ ]+ [^ ]+ ()[^ ]+ [^ ]+ [^ ]+ ([^ ]+)$')
  local fence
  if current == drawn then
    redis.call('ZREM', K.on_the_way, queue .. ' ' .. drawn .. ' ' .. id)
    local begun = noted and lost == '0' and (string.match(redis.call('HGET', K.begins, queue) or '', '^%d+') or '0')
    if begun and tonumber(begun) < tonumber(drawn) then
      redis.call('HSET', K.begins, queue, drawn .. ' ' .. K.ms_text)
    end
    fence = draw_number()
    lease(id, drawn, fence, lost, owner, call, ttl, string.sub(text, rest))
  end
  return fence
end
