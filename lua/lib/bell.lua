-- Wakes one sweeping worker: something is due sooner than it knows.
--@include keys
local BELL = 5000 -- ms that a bell waits for a worker

local function ring(wake)
  redis.call('LPUSH', wake, K.us_text)
  redis.call('LTRIM', wake, 0, 0)
  redis.call('PEXPIRE', wake, BELL)
end
