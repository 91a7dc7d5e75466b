-- The state of a group: "<flags> <aside> <empty>", and below it a line for each of its entries under way. A group has
-- one while it has an entry, or a flag.
--
--   flags   letters: p paused · b blocked · d draining · c for each part of its line that is cut off, see fail.lua; -:
--           none · o its circuit breaker has opened since the last good end, see lib/breaker.lua · l an operator has
--           set its limits, s its starts are counted, n others may join those under way, see lib/limits.lua · i
--           entries of it have identities, see lib/identity.lua · w entries of it wait in their windows, or did · k
--           tasks of it have other keys, too, see lib/stand_in.lua · f entries of it have fair keys, see lib/fair.lua
--           v an entry was revoked that is cut off, see cancel.lua
--   aside   number of its entries that are neither in line nor under way: their ETA has not come, their window is not
--           over, or they are cut off
--   empty   number of places in its line whose entry was revoked
--
-- The record of an entry under way: words without blanks.
--
--   state   w released: its ticket waits at the broker · r running: a worker has it · h held: it waits for its due time
--   id
--   release number of its last release, which the ticket carries; with the stop f of its place in its tenant's row
--   fence   of the run that began since then, drawn when it began; before that -
--   due     time when a stored continuation may go out, or when a block ends (ms), else -. While it runs: a
--           replacement, see park.lua
--   stop    reason not to release it: p (its group is paused), b (it has failed, and blocks its group), l (its group's
--           rate is used up until it is due), f (it follows a run, see lib/follow.lua), s (its task waits for its other
--           places), t (others of its tenant come first), h (another one has failed, and blocks its group), else -
--   lost    number of workers that were lost with it
--   since   time when it came into this state (ms)
--   owner   the worker that runs it, else -
--   call    the call that began it: makes a repeated begin harmless
--   queue
--@include keys
local RECORD = '^\n([rwh]) (%S+) (%d+) ([%d-]+) ([%d-]+) ([%l-]) (%d+) (%d+) (%S+) (%S+) (%S+)()'
local texts, groups = {}, {}

local function group_text(group)
  texts[group] = texts[group] or redis.call('HGET', K.groups, group) or ''
  return texts[group]
end

-- Returns whether an entry of the group is under way and no other may join it, and it neither drains nor has
-- identities. Nothing else is read.
local function is_busy(group)
  return string.find(group_text(group), '^[^din\n]+\n') ~= nil
end

-- Returns the group, with its records; `corrupt` is where its text can't be read. One table for each group.
local function read_group(group)
  local g = groups[group]
  if not g then
    local text = group_text(group)
    local flags, aside, empty, at = string.match(text, '^([%l-]+) (%d+) (%d+)()')
    g = { flags = flags or '-', aside = aside or '0', empty = empty or '0', text = text }
    at = at or 1
    while at <= #text do
      local state, id, drawn, fence, due, stop, lost, since, owner, call, queue, after =
        string.match(text, RECORD, at)
      if after then
        g[#g + 1] = {
          state = state, id = id, release = drawn, fence = fence, due = due, stop = stop, lost = lost,
          since = since, owner = owner, call = call, queue = queue,
        }
      else
        g.corrupt = at
      end
      at = after or #text + 1
    end
    groups[group] = g
  end
  return g
end

-- Returns the group as read_group does. Faster where it is as nearly always: one entry of it is under way, as these
-- words of its record say, and it has no flag, and no entry aside. A pattern costs some ten ns for each character.
-- The record of a run is not complete then: it is for a caller that ends the run.
local function read_ordinary(group, state, id, drawn, fence, lost)
  local text = not groups[group] and group_text(group)
  local said = '- 0 0\n' .. state .. ' ' .. id .. ' ' .. drawn .. ' ' .. fence .. ' - - ' .. lost .. ' '
  if text and string.sub(text, 1, #said) == said and not string.find(text, '\n', #said, true) then
    local queue = string.sub(text, #said + 19) -- of a released one: behind its time, and no owner and call
    local r = {
      state = state, id = id, release = drawn, fence = fence, due = '-', stop = '-', lost = lost, since = '-',
      owner = '-', call = '-', queue = queue,
    }
    groups[group] = { r, flags = '-', aside = '0', empty = '0', text = text }
  end
  return groups[group] or read_group(group)
end
