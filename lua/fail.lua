-- fail: end a run that has failed for good, by its group's policy (not continue). As finish, without a hand-off.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] line     (list)  of the group
-- KEYS[11] runs     (hash)  of the worker, see lib/run.lua
-- KEYS[12] cut_off  (list)  of this run: the entries to cancel
-- KEYS[13] failures (string) of the group, see lib/breaker.lua
-- KEYS[14-] lists   (list)  the broker's lists that the worker consumes
-- KEYS[..] others   (list)  of a task with several keys, where the policy or the breaker asks for them: of each other
--                           group its line, its cut_off and its failures; see lib/rest.lua
-- ARGV[1-2]         clock, tag
-- ARGV[3]  id       (text)
-- ARGV[4]  group    (text)
-- ARGV[5]  fence    (number)
-- ARGV[6]  owner    (text)
-- ARGV[7]  lane     (number) of the run
-- ARGV[8]  call     (text)  this call's own name
-- ARGV[9]  ttl      (ms)    of the worker's lease
-- ARGV[10] policy   (text)  continue · block · dead_letter · cancel_rest
-- ARGV[11] why      (text)  for a dead letter, see lib/letters.lua
-- ARGV[12] flag     (text)  for a blocked group: JSON, open for the time
-- ARGV[13] lasts    (ms)    of the block; 0: until an operator ends it
-- ARGV[14] most     (count) final failures in a window that open the breaker; 0: there is none
-- ARGV[15] window   (ms)
-- ARGV[16] pause    (ms)    until the breaker lets a probe run
-- ARGV[17] named    (count) lists
-- ARGV[18-] queues  (text)  their names
-- ARGV[..] of       (count) other groups; absent: none
-- ARGV[..] groups   (text)  these
-- Returns {code, '', 0, due, [queue, message]...} as finish does; code 2: the group is blocked
-- Complexity O(log on_the_way)
--@include keys clock write record entry release run resume advance again block breaker rest begins leave stand_in
local line, runs, cut_off, failures = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, group, fence, owner, lane = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local call, ttl, policy, why = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11]
local flag, lasts, most, window = ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local pause, named = tonumber(ARGV[16]), tonumber(ARGV[17])

local lists, out, g = named_lists(14, 18, named), {}, open_group(group)
local r = running(g, id, fence)
if not r then
  local before, _, _, at = lane_words(runs, lane)
  if before ~= call then
    return { 0, '', 0, -1 }
  end
  local due, head = at ~= '-' and math.max(tonumber(at) - now_ms(), 0) or -1, record_of(g, id)
  heads_again(lists, g, out)
  return { head and head.stop == 'b' and 2 or 1, '', 0, due, unpack(out) } -- a repetition of this call
end

free_group(group)
note_begin(group, g, r)
local code, due = 1, -1
if r.due ~= '-' then -- its continuation is stored: that is the end of a run, not of the task
  due = math.max(tonumber(r.due) - now_ms(), 0)
  resume(lists, group, g, r, out)
else
  local broken = opens(failures, g, most, window)
  local elsewhere = fail_elsewhere(14 + named, 18 + named, policy, fence, most, window)
  broken = broken or elsewhere
  if policy == 'cancel_rest' then
    cut_rest(group, g, line, cut_off, fence)
  end
  if policy == 'block' or broken then
    code = 2
    block(group, g, r, flag .. (broken and '"broken": true, ' or ''), broken and pause or lasts)
  else
    if policy == 'dead_letter' then
      set_aside(id, group, why, redis.call('HGET', K.entries, id))
    else
      redis.call('HDEL', K.entries, id)
      redis.call('HINCRBY', K.stats, 'tasks_removed', 1)
    end
    end_entry(id, group, g)
    remove_record(g, id)
    advance(lists, line, group, g, out)
    local head = g[#g]
    if head and head.stop == 'l' then
      code, due = 3, tonumber(head.due) - now_ms()
    end
    local sweeps = needs_sweep()
    if sweeps then
      code, due = 3, 0
    end
  end
end
redis.call('HINCRBY', K.stats, 'runs_failed', 1)
keep_lane(runs, lane, call .. ' - - ' .. (code ~= 3 and due >= 0 and digits(now_ms() + due) or '-'), owner, ttl)
return { code, '', 0, due, unpack(out) }
