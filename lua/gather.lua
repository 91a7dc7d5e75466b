-- gather: let a run take the entries behind its own along, as its followers: they are executed with it, in one batch.
--
-- KEYS[1-9]        the gate's own, see lib/keys.lua
-- KEYS[10] line    (list)  of the group
-- ARGV[1-2]        clock, tag
-- ARGV[3] id       (text)
-- ARGV[4] group    (text)
-- ARGV[5] fence    (number)
-- ARGV[6] most     (count) followers
-- ARGV[7] task     (text)  name of their task, as the run's
-- Returns {message...} of the run's followers, by this call, now or before; none when the run is over
-- Complexity O(most)
--@include write record entry release run fits
local BYTES = 262144 -- of messages that one call moves; and one message more
local MANY = 16 -- entries that are read at once
local steps = 100 -- empty places that one call may walk over
local line, id, group, fence, most, task = KEYS[10], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]

local g, out, bytes = open_group(group), {}, 0
local r = running(g, id, fence)

local function follow(other, entry)
  start_run(other, fence, r.owner, r.call)
  other.release, other.stop = r.release, 'f'
  bytes = bytes + #entry.text
  out[#out + 1] = compose(other.id, entry, r.release, other.lost)
end

local asked, alone = 0, not r or r.lost ~= '0' or string.find(g.flags, '[pbn]')
for _, other in ipairs(r and g or {}) do
  local entry = other.stop == 'f' and other.state == 'r' and other.fence == fence and read_entry(other.id)
  if entry then -- a repetition of this call
    out[#out + 1] = compose(other.id, entry, other.release, other.lost)
    asked = asked + 1
  elseif other ~= r and other.stop ~= 'f' then
    alone = true
  end
end
if asked == 0 and not alone then
  free_group(group)
  for _, other in ipairs(g) do -- those of an earlier run come first
    local more = other ~= r and not alone and other.lost == '0' and #out < most and bytes < BYTES
    local entry = more and read_entry(other.id)
    if entry and fits(group, g, r, entry, task) then
      follow(other, entry)
    elseif other ~= r then
      alone = true
    end
  end
  while not alone and #out < most and bytes < BYTES and steps > 0 do
    local items, taken = redis.call('LRANGE', line, 0, math.min(most - #out, MANY) - 1), 0
    local ids, texts = read_items(items)
    for at, item in ipairs(items) do
      local entry, corrupt = read_entry(ids[at], texts[at])
      local gone = not corrupt and (not entry or entry.us ~= string.sub(item, 1, 16))
      alone = alone or bytes >= BYTES or steps == 0 or not gone and not (entry and fits(group, g, r, entry, task))
      if not alone then
        taken = at
        if gone then -- it was revoked
          add_to(g, 'empty', -1)
          steps = steps - 1
        else
          g[#g + 1] = new_record(ids[at], entry.queue)
          follow(g[#g], entry)
        end
      end
    end
    alone = alone or not items[1]
    if taken > 0 then
      redis.call('LTRIM', line, taken, -1)
    end
  end
  write_group(group, g)
end
return out
