-- finish: end a run whose execution is over. In one step, the group's next head is released, and the worker takes its
-- next task.
--
-- KEYS[1-9]            the gate's own, see lib/keys.lua
-- KEYS[10] line        (list)  of the group
-- KEYS[11] runs        (hash)  of the worker, see lib/run.lua
-- KEYS[12-] lists      (list)  the broker's lists that the worker consumes, in its order
-- ARGV[1-2]            clock, tag
-- ARGV[3]  id          (text)
-- ARGV[4]  group       (text)
-- ARGV[5]  run         (text)  "<release> <fence> - - <losses>", as its record has them
-- ARGV[6]  who         (text)  "<owner> <call>", with this call's own name
-- ARGV[7]  lane        (number) of the run, and of the one that is taken
-- ARGV[8]  take        (text)  "<take>[+] <ttl>": lists: the next ticket of the lists · own: the group's next head ·
--                              none; + when the lease is extended, as its last renewal is some time ago; the ms of the
--                              worker's lease
-- ARGV[9]  queues      (text)  the names of the lists, with blanks between them
-- ARGV[10-] queue, cut, message, delay  of the run's continuation (retry, replace), when it has one; see park.lua
-- ARGV[..] rejoins     (1)     when the continuation gives up its place: it joins the tail of its line when it is due
-- Returns {code, taken, fence, due, [queue, message]...}: code 1 finished · 0 stale, nothing was done · 3 finished, and
--         the group's next head is held, or a sweep lets other groups go on · 4 more: advance may let another entry go
--         on beside the one that was taken; the message taken and its run's fence, or '' and 0; ms until the
--         continuation is due, with code 3 that head or sweep, or -1; to publish
--         {taken, fence} for {1, taken, fence, -1}, and {entry, ticket} when that is the group's own head
-- Complexity O(log on_the_way)
--@include keys clock write entry release run take again ending invite stand_in fair freed turns
local line, runs, id, group, lane = KEYS[10], KEYS[11], ARGV[3], ARGV[4], ARGV[7]
local release_of, fence, losses = string.match(ARGV[5], '^(%d+) (%d+) %- %- (%d+)$')
local owner, call = string.match(ARGV[6], '^(%S+) (%S+)$')
local take, extends, ttl = string.match(ARGV[8], '^(%l+)(%+?) (%d+)$')

local lists = lists_of(12, ARGV[9])
local after, out = 10, {} -- where the continuation stands
local g = not ARGV[after] and open_ordinary(group, 'r', id, release_of, fence, losses) or open_group(group)
local r = running(g, id, fence)
if not r then
  local before, of, taken, at = lane_words(runs, lane)
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due = at ~= '-' and math.max(tonumber(at) - now_ms(), 0) or -1
  local message, begun = taken_again(of, taken, owner, call)
  heads_again(lists, g, out)
  return { 1, message, begun, due, unpack(out) } -- a repetition of this call
end

local due, head, entry, held = end_run(lists, line, group, g, r, after, out)
local due_text = due >= 0 and digits(now_ms() + due) or '-'
local code, taken, message, begun, of, other = 1, nil, nil, nil, nil, nil
if take == 'lists' then
  taken, message, begun, of, other = begin_next(12, lists, owner, call, head and not held and entry.queue)
end
local own = head and (taken == OWN or take == 'own')
if own and take == 'own' and g.flags ~= '-' then
  own = may_begin(entry)
end
if held then
  if held > 0 then
    code, due = 3, held - now_ms()
  end
  write_group(group, g, of, other)
elseif own then -- it is the next one: begun without going through the broker
  begun = draw_number()
  head.release = begun
  start_run(head, begun, owner, call)
  write_group(group, g)
  taken, message, of, other = head.id, compose(head.id, entry, begun, head.lost), group, g
elseif head then
  send_out(lists, group, g, head, entry, out, begun, of, other)
elseif begun then
  write_group(of, other)
end
if freed then -- behind the group's own head: both wait for their turns since this step
  next_turns(lists, freed, out)
end
local sweeps = needs_sweep()
if sweeps then
  code, due = 3, 0
end
if extends == '+' then
  redis.call('ZADD', K.due, now_ms() + ttl, 'w ' .. owner)
end
keep_lane(runs, lane, call .. ' ' .. (of or '-') .. ' ' .. (taken or '-') .. ' ' .. due_text, owner, ttl)
local more = 0
if other and other.flags ~= '-' then
  more = invite(of, other)
end
return { code + more, message or '', begun or 0, due, unpack(out) }
