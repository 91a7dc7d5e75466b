-- The common parts of operators' scripts.
--@include keys entry
local KEPT = 1000 -- actions that are remembered

-- Note an action in the step that does it, so that the audit is complete also when the caller is gone.
local function note(audit, text)
  if text ~= '' then
    redis.call('LPUSH', audit, K.ms_text .. ' ' .. text)
    redis.call('LTRIM', audit, 0, KEPT - 1)
  end
end

-- Close the JSON of a flag with the time.
local function stamped(flag)
  return flag .. '"at_ms": ' .. K.ms_text .. '}'
end

-- Returns the task, quoted, that an entry's name stands for; see keys.py.
local function task_of(name)
  return string.match(name, '^[^;]*')
end

-- Returns the text of an entry that stands at its place in the line, also of an unreadable one; else nothing.
local function text_in_line(us, id)
  local entry, corrupt = read_entry(id)
  return entry and entry.us == us and entry.text or corrupt
end
