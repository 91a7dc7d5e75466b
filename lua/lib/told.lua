-- Answers a park whose call is repeated.
--@include entry again

-- Returns the answer to a refused call of many, as it was.
local function told_again(words)
  local reply = {}
  for word in string.gmatch(words, '[^|]+') do
    reply[#reply + 1] = #reply == 0 and tonumber(word) or word
  end
  return reply
end

-- last: the value of its producer, see lib/number.lua. told: the answer that refused it; nil: it was parked. Returns
-- the answer, with the entry that it has dropped.
local function answer_again(lists, group, last, told, out)
  local reply
  if told then
    reply = told_again(told)
  else
    out[1], out[2] = string.match(last, '^%d+ (%S+) (.*)')
    local code = out[1] and 3 or 2
    heads_again(lists, open_group(group), out)
    reply = { code, unpack(out) }
  end
  return reply
end
