-- Says which entries may be executed in one batch, see gather.lua.
--@include keys clock release said
local FRONT = '^"lang": "%l+", "task": "([^"\\]+)", "id": "' -- of Celery's headers

-- Returns whether an entry may be executed with a run: it is of its task and its queue, waits for no ETA in its place,
-- and runs beside no others.
local function fits(group, g, r, entry, task)
  local together = 1
  if entry.limits ~= '' or g.flags ~= '-' then
    local limits = limits_of(group, g, entry)
    together = limits.together or 1
  end
  local due = tonumber(string.match(entry.limits, ' l%d+/%d+/%d+/(%d+)') or 0)
  local name
  if entry.queue == r.queue and together == 1 and due <= now_ms() then
    name = string.match(entry.text, FRONT, entry.at + entry.cut) -- exact: the headers begin with it
    if not name then
      local ok, text = pcall(cjson.decode, compose('-', entry, '0', '0'))
      name = ok and type(text) == 'table' and type(text.headers) == 'table' and text.headers.task
    end
  end
  return name == task
end

-- Returns the ids of a line's items, and the texts of their entries.
local function read_items(items)
  local ids = {}
  for at, item in ipairs(items) do
    ids[at] = string.sub(item, 18)
  end
  local texts = ids[1] and redis.call('HMGET', K.entries, unpack(ids)) or {}
  return ids, texts
end
