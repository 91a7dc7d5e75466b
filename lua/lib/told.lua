-- Answers a park whose call is repeated.
--@include number entry again

-- last: the value of its producer, see lib/number.lua. told: the answer that refused it; nil: it was parked. Returns
-- the answer, with the entry that it has dropped.
local function answer_again(lists, group, last, told, out)
  local reply
  if told then
    reply = told_again(told)
  else
    out[1], out[2] = string.match(last, '^%d+ (%S+) (.*)')
    heads_again(lists, open_group(group), out)
    reply = { out[1] and 3 or 2, unpack(out) }
  end
  return reply
end
