-- Finds the next head of a group: when no entry of it is under way, or when its limits allow one more, see
-- lib/limits.lua.
--@include keys clock record flag entry release limits lead close leave
local steps = 100 -- empty places that one call may walk over

-- Take the next head of a group out of its line. Returns its record, which the caller completes and writes, and its
-- entry; nothing when there is none, or it may not go out.
local function take_head(line, group, g)
  local head, entry, corrupt
  if g[1] then
    head, entry = take_follower(line, g)
  end
  local others = #g
  local is_free = has_room(g)
  is_free = is_free and not head
  local item = is_free and steps > 0 and redis.call('LPOP', line)
  while item do
    local id = string.sub(item, 18)
    entry, corrupt = read_entry(id)
    local stands, left = entry and entry.us == string.sub(item, 1, 16), false
    if stands and has_flag(g, 'k') then
      left = is_left_behind(id)
    end
    if left then
      remove_left(id)
    elseif stands then
      local fits = true
      if others > 0 then
        fits = may_join(group, g, entry, others)
      end
      if not fits then
        redis.call('LPUSH', line, item)
      else
        head = new_record(id, entry.queue)
        g[others + 1] = head
      end
      break
    elseif corrupt then
      leave_places(id)
      set_aside(id, group, 'corrupt', corrupt)
    else -- it was revoked: its place is empty
      add_to(g, 'empty', -1)
    end
    steps = steps - 1
    item = steps > 0 and redis.call('LPOP', line)
  end
  if is_free and steps == 0 and not head then
    redis.call('ZADD', K.due, K.REST + now_ms(), 'a ' .. group) -- more empty places than that: a sweep goes on
  end
  g.ended = others == 0 and is_free and not item and steps > 0 and g.aside == '0'
  g.drained = not head and has_flag(g, 'd')
  if g.drained then
    local depth = depth_of(line, g)
    g.drained = depth <= 0
  end
  return head, entry
end

local function advance(lists, line, group, g, out)
  local head, entry = take_head(line, group, g)
  if head then
    release(lists, group, g, head, entry, out)
  else
    close_group(group, g)
  end
end
