-- Tasks with several keys. The entry of such a task is in the group of its first key. In each other group it has a
-- stand-in: an entry that waits in line there, halts that group when it is the head, and never goes out. The task goes
-- out when it is the head of its group, and its stand-ins are those of theirs.
--
-- A stand-in is named "<entry>;k<number>", and its message is "<group> <entry>". In the hash of the begins stands
--   "k <entry>" -> "<group>..." of its stand-ins in their order; ! when it was taken out, and its own place is left
--                  behind, as part of its line is cut off
-- A group with the mark k has entries of such tasks; other groups cost nothing.
--@include keys clock
local soon = false -- a sweep has something to do now

-- Returns the group and the name of the entry that a stand-in is of; nothing for another entry.
local function stands_for(id)
  local of, name
  if string.find(id, ';k', 1, true) then
    of, name = string.match(redis.call('HGET', K.entries, id) or '', '\n(%S+) (%S+)$')
  end
  return of, name
end

-- Let a sweep look at a member of due now.
local function look_soon(score, member)
  redis.call('ZADD', K.due, score + now_ms(), member)
  soon = true
end

-- Returns whether a sweep has something to do now.
local function needs_sweep()
  return soon
end
