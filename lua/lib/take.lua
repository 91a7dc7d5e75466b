-- Takes the next ticket of the lists that a finishing worker consumes, and begins it in the same step.
--@include keys flight unreadable
local STALE = 20 -- stale tickets that one call may drop
local OWN = true

-- own: the queue of the head that the caller has yet to release; nil: it has none.
-- Returns id, message and fence; OWN when that head is the next one: the lists up to its own are empty; nothing when
-- all are empty, or when the next message is not a ticket of this gate: that one keeps its turn, and the broker
-- delivers it.
local function begin_next(key, arg, count, owner, call, ttl, own)
  local taken, message, begun
  local at, dropped = 0, 0
  while at < count do
    local text = redis.pcall('RPOP', KEYS[key + at])
    if type(text) ~= 'string' then -- empty, or no list
      if text == false and ARGV[arg + at] == own then
        taken = OWN
        break
      end
      at = at + 1
    else
      local tag, drawn, id = string.match(text, '^{"properties": {"delivery_tag": "gf (%S+) (%d+) %d+ %d+ ([^"]+)"')
      if tag ~= K.tag or dropped == STALE then
        redis.call('RPUSH', KEYS[key + at], text)
        break
      end
      local noted = string.sub(drawn, -1) == '0' -- one in ten is enough where what is missing can be looked for
      begun = begin_run(id, drawn, owner, call, ttl, noted)
      if begun then
        taken, message = id, text
        break
      end
      read_or_set_aside(id)
      dropped = dropped + 1
    end
  end
  return taken, message, begun
end
