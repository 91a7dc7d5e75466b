-- advance: let entries whose ETA has come, or whose window is over, join the lines of their groups, end blocks and
-- limits, let the next heads of tenants go out, and continue walks over empty places; many in one call.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] crowd    (zset)   members of due that wait for room, see lib/crowd.lua
-- KEYS[11-] line    (list)   of the group of each member
-- KEYS[..] lists    (list)   the broker's lists that the caller knows
-- ARGV[1-2]         clock, tag
-- ARGV[3] many      (count)  members
-- ARGV[4] named     (count)  lists
-- ARGV[5-] queues   (text)   their names
-- ARGV[..] member, group     pairs: members of due and their groups
-- Returns {count, next, [queue, message]...}: of members that are done, from the first on; the caller calls again with
--         the others · ms until the next sweep (-1: as it has said) · to publish
-- Complexity O(members · log groups), and entries whose windows end with that of another
--@include keys clock write record flag entry release advance again crowd look_again join stand_in lapse turns_due trim
local BYTES = 262144 -- of messages that one call moves; and one message more
local WALK = 500 -- empty places that one call walks over, and entries that join before one
local many, named = tonumber(ARGV[3]), tonumber(ARGV[4])

local lists, out, told, bytes, done = named_lists(11 + many, 5, named), {}, {}, 0, 0
steps = WALK
while done < many and steps > 0 and bytes < BYTES do
  local line, arg = KEYS[11 + done], 5 + named + 2 * done
  local member, group = ARGV[arg], ARGV[arg + 1]
  local g = open_group(group)
  if string.sub(member, 1, 2) == 'f ' then
    turn_again(lists, string.sub(member, 3), out)
  elseif redis.call('ZREM', K.due, member) == 0 then -- done by another call, or by a repetition of this one
    if not told[group] then -- else it has joined before another one
      heads_again(lists, g, out)
    end
  else
    local kind, id = string.sub(member, 1, 1), string.match(member, '%S+$')
    local entry, corrupt
    local r = kind == 'b' and record_of(g, id)
    if r and r.stop == 'b' then -- it has failed for good, and its group waits no longer
      lapse(group, g, id)
    elseif kind == 'l' and has_flag(g, 'l') then
      clear_flag(group, g, 'l')
      look_again(lists, group, g, out)
    elseif kind == 'e' then
      local joined, follows = join_lower(line, group, g, id, steps)
      steps = steps - joined
      if follows then
        entry, corrupt = read_entry(id)
        add_to(g, 'aside', -1)
      else
        redis.call('ZADD', K.due, K.ETAS + now_ms(), member)
      end
    end
    if entry then
      redis.call('RPUSH', line, entry.us .. ' ' .. id)
    elseif corrupt then
      set_aside(id, group, 'corrupt', corrupt)
    end
    if kind == 'a' then -- also of a group whose next head may not leave
      local taken = trim_front(line, group, g, steps)
      steps = steps - taken
    end
    local head = kind ~= 'a' and #g == 0 and redis.call('LINDEX', line, 0)
    local first = head and read_entry(string.match(head, '^%d+ (.*)$') or '')
    bytes = bytes + (first and #first.text or 0)
    if not first or take_room(KEYS[10], lists, first.queue, 'a ' .. group) then
      advance(lists, line, group, g, out)
    else
      write_group(group, g)
    end
  end
  done, told[group] = done + 1, true
end
local pause = next_sweep()
local sweeps = needs_sweep()
return { done, steps > 0 and not sweeps and pause or 0, unpack(out) }
