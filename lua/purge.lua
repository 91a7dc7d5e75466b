-- purge: take out entries of a group that do not run, a number per call, from the head of the line.
--
-- KEYS[1-9]         the gate's own, see lib/keys.lua
-- KEYS[10] audit    (list)   the actions of operators, newest first
-- KEYS[11] answer   (string) of this action's last call
-- KEYS[12] line     (list)   of the group
-- KEYS[13] wake     (list)   wakes one sweeping worker: a tenant or another group may go on
-- ARGV[1-2]         clock, tag
-- ARGV[3] note      (text)   for the audit; empty: it is noted already
-- ARGV[4] call      (number) of this action, from 1
-- ARGV[5] group     (text)
-- ARGV[6] bound     (us)     entries parked later are left; 0: now
-- ARGV[7] limit     (count)
-- ARGV[8] most      (bytes)  of entries in one answer; and one entry more
-- Returns {bound, more, count, [id, entry]..., [queue, message]...}: for the next call, whether one is needed · how
--         many were taken out, and which, '' for the entry of one that had failed · to publish
-- Complexity O(limit)
--@include keys clock write record flag entry advance once operate elsewhere withdraw freed bell stand_in
local audit, line, wake = KEYS[10], KEYS[12], KEYS[13]
local group, bound, limit, most = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

if bound == 0 then
  bound = tonumber(K.us_text)
end
local g, gone, more, out, bytes = open_group(group), {}, 0, {}, 0
local function take_out(id)
  local text, failed = withdraw(id, group, g)
  bytes = bytes + #text
  gone[#gone + 1] = id
  gone[#gone + 1] = failed and '' or text
end
for step = 1, limit do
  local item = redis.call('LPOP', line)
  if not item then
    break
  end
  local us, id = string.match(item, '^(%d+) (.*)$')
  if us and tonumber(us) > bound then
    redis.call('LPUSH', line, item)
    break
  end
  if text_in_line(us, id or '') then
    take_out(id)
  else
    add_to(g, 'empty', -1)
  end
  if step == limit or bytes >= most then
    more = 1
    break
  end
end
if more == 0 then -- the head comes last: otherwise the next entry would go out
  for at = #g, 1, -1 do
    local r = g[at]
    local entry = r.state ~= 'r' and read_entry(r.id)
    local runs = false
    if has_flag(g, 'k') then
      runs = runs_elsewhere(r.id)
    end
    if entry and not runs and tonumber(entry.us) <= bound then
      take_out(r.id)
    end
  end
  advance({}, line, group, g, out)
else
  write_group(group, g)
end
local sweeps = needs_sweep() -- other groups of a task that was taken out go on
if freed or sweeps then
  ring(wake)
end
note(audit, ARGV[3])
local reply = { digits(bound), more, #gone / 2, unpack(gone) }
for _, word in ipairs(out) do
  reply[#reply + 1] = word
end
return keep_answer(reply)
