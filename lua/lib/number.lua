-- The running numbers of producers: the last one of each is kept for some time.
--
-- Timeline of a lost reply: the script runs, the connection breaks, the task runs and ends, the client repeats the
-- call. The id is gone by then; the producer's number is not.
local KEEP = 600000 -- ms that a producer's number is remembered: longer than any caller repeats a call

-- Keep the number of a call. Returns the one before, and whether this call was made already. One with more than the
-- number is its own: the producer of a call that dropped an entry makes no other one.
local function keep_number(producer, number, keep)
  local last = redis.call('SET', producer, number, 'PX', keep, 'GET')
  local repeated = last and (tonumber(last) or tonumber(number)) >= tonumber(number)
  if repeated then
    redis.call('SET', producer, last, 'PX', keep)
  end
  return last, repeated
end

-- Let the number before count again, as this call does nothing.
local function restore_number(producer, last, keep)
  if last then
    redis.call('SET', producer, last, 'PX', keep)
  else
    redis.call('DEL', producer)
  end
end
