-- The running numbers of producers: the last one of each is kept for some time.
--
-- Timeline of a lost reply: the script runs, the connection breaks, the task runs and ends, the client repeats the
-- call. The id is gone by then; the producer's number is not.
--
-- A number of many in one round trip is "<number>/<first>", with the first one of them. There a lower number than the
-- last one may be that of a refused call. So what was refused stands behind the number, until the next round trip:
--   "<last number>/<first> <from>-<to>:<code>|<word>..." with the answer to these calls

local KEEP = 600000 -- ms that a producer's number is remembered: longer than any caller repeats a call

-- Returns whether a call was made already, its answer when it was refused, and what the producer's value is with its
-- number.
local function look_up(last, number)
  local own, first = string.match(number, '^(%d+)/?(%d*)$')
  local before, of, refused = string.match(last or '', '^(%d+)/?(%d*)(.*)$')
  local repeated, told = before and tonumber(before) >= tonumber(own), nil
  if of and of ~= '' then
    for from, to, words in string.gmatch(refused, ' (%d+)%-(%d+):(%S+)') do
      if tonumber(own) >= tonumber(from) and tonumber(own) <= tonumber(to) then
        repeated, told = true, words
      end
    end
  end
  local more = first ~= '' and of == first and refused or ''
  return repeated, told, number .. more
end

-- Keep the number of a call. Returns the value before, whether this call was made already, and its answer when it was
-- refused. A value with other words behind the number is that of a call which dropped an entry: its producer makes no
-- other one.
local function keep_number(producer, number, keep)
  local last = redis.call('SET', producer, number, 'PX', keep, 'GET')
  local repeated = last and (tonumber(last) or -1) >= (tonumber(number) or math.huge)
  local told
  if last and not (tonumber(last) and tonumber(number)) then
    local kept
    repeated, told, kept = look_up(last, number)
    if not repeated and kept ~= number then
      redis.call('SET', producer, kept, 'PX', keep)
    end
  end
  if repeated then
    redis.call('SET', producer, last, 'PX', keep)
  end
  return last, repeated, told
end

-- Let the number before count again, as this call does nothing. What a call of many is told is kept for a repetition.
local function restore_number(producer, last, keep, number, words)
  local own, first = string.match(number, '^(%d+)/(%d+)$')
  local value, answer = last, tostring(words)
  if own then
    local before, of, refused = string.match(last or '0', '^(%d+)/?(%d*)(.*)$')
    refused = of == first and refused or ''
    local others, from, to, said = string.match(refused, '^(.*) (%d+)%-(%d+):(%S+)$')
    if not others or said ~= answer or tonumber(to) + 1 ~= tonumber(own) then
      others, from = refused, own
    end
    value = before .. '/' .. first .. others .. ' ' .. from .. '-' .. own .. ':' .. answer
  end
  if value then
    redis.call('SET', producer, value, 'PX', keep)
  else
    redis.call('DEL', producer)
  end
end

-- A call is refused before its number is kept.
local function refuse_early(producer, keep, number, words)
  if not tonumber(number) then
    restore_number(producer, redis.call('GET', producer), keep, number, words)
  end
end
