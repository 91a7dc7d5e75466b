-- The head of a script whose calls may be repeated, and its end: an action of an operator or a sweep.
--
-- Timeline of a lost reply: the script takes entries out, the connection breaks, the client repeats the call. It gets
-- the same answer, and can store the results of these entries.
--
-- KEYS[11] answer (string) "<call> <its answer>", of this action's last call
-- ARGV[4] call    (number) of this action, from 1
local REPEATED = 60000 -- ms within which a call with a lost reply is repeated
local answer, call = KEYS[11], ARGV[4]
local before, packed = string.match(redis.call('GET', answer) or '', '^(%d+) (.*)$')
if before == call then
  return cmsgpack.unpack(packed)
end

-- Keep the answer of this call for a repetition of it, and return it.
local function keep_answer(reply)
  redis.call('SET', answer, call .. ' ' .. cmsgpack.pack(reply), 'PX', REPEATED)
  return reply
end
