-- Takes the next ticket of the lists that a finishing worker consumes, and begins it in the same step.
--@include keys record entry release run
local STALE = 20 -- stale tickets that one call may drop
local OWN = true

-- lists: queue -> key, from the script's last keys and one text with their names.
local function lists_of(key, names)
  local lists = {}
  for name in string.gmatch(names, '%S+') do
    lists[name] = KEYS[key]
    key = key + 1
  end
  return lists
end

-- The lists are the last keys of the script, from a place on.
-- own: the queue of the head that the caller has yet to release; nil: it has none.
-- Returns id, message, fence, and the group with its state, which the caller writes; OWN when that head is the next
-- one: the lists up to its own are empty; nothing when all are empty, or when the next message is not a ticket of this
-- gate: that one keeps its turn, and the broker delivers it.
local function begin_next(key, lists, owner, call, own)
  local taken, message, begun, of, g
  local at, dropped, front = 0, 0, '{"properties": {"delivery_tag": "gf ' .. K.tag .. ' '
  while KEYS[key + at] do
    local text = redis.pcall('RPOP', KEYS[key + at])
    if type(text) ~= 'string' then -- empty, or no list
      if text == false and own and lists[own] == KEYS[key + at] then
        taken = OWN
        break
      end
      at = at + 1
    else
      local drawn, lost, id, group
      if string.sub(text, 1, #front) == front and dropped < STALE then
        drawn = string.sub(text, #front + 1, #front + 16)
        lost, id, group = string.match(text, '^(%d+) %d+ (%S+) ([^"]+)"', #front + 18)
      end
      if not group then
        redis.call('RPUSH', KEYS[key + at], text)
        break
      end
      local noted = string.sub(drawn, -1) == '0' -- one in ten is enough where what is missing can be looked for
      g = open_ordinary(group, 'w', id, drawn, '-', lost)
      begun = begin_run(group, g, id, drawn, owner, call, noted)
      if begun then
        taken, message, of = id, text, group
        break
      end
      dropped, g = dropped + 1, nil
    end
  end
  return taken, message, begun, of, of and g -- not that of a stale ticket
end

-- Returns message and fence of what an earlier run of this call has taken, while it runs; else '' and 0.
local function taken_again(group, id, owner, call)
  local r, entry = record_of(open_group(group), id), read_entry(id)
  local message, begun = '', 0
  if r and entry and r.state == 'r' and r.owner == owner and r.call == call then
    message, begun = compose(id, entry, r.release, r.lost), r.fence
  end
  return message, begun
end
