-- What is said about the limits of a group: by a call, an entry, an operator; see lib/limits.lua.
--@include keys clock flag entry

-- Returns what an operator has set, and where that is 0 the entry's own.
local function limits_of(group, g, entry)
  local own = string.match(entry.limits, ' (l%d+/%d+/%d+)') or ''
  local set = has_flag(g, 'l') and redis.call('HGET', K.flags, 'l ' .. group) or ''
  local limits = {}
  for _, text in ipairs({ own, set }) do
    local starts, window, together = string.match(text, '^l(%d+)/(%d+)/(%d+)')
    if starts and starts ~= '0' then
      limits.starts, limits.window = tonumber(starts), tonumber(window)
    end
    if together and together ~= '0' then
      limits.together = tonumber(together)
    end
  end
  return limits
end

-- Limits in the words of a call: "/+" and the ms until its ETA, at their end, is due at a time. Returns them with a
-- blank before, as an entry has them; empty when there are none.
local function limits_text(said)
  local limits, delay = string.match(said or '', '^(.*)/%+(%d+)$')
  limits = limits and limits .. '/' .. digits(now_ms() + delay) or said or ''
  return limits == '' and '' or ' ' .. limits
end

-- Let an entry that waits for its ETA in its place go out before.
local function forget_eta(id)
  local e = read_entry(id)
  if e then
    local words = string.gsub(e.limits, '( l%d+/%d+/%d+)/%d+', '%1')
    local first = table.concat({ e.us, e.group, e.queue, digits(e.cut) }, ' ') .. words
    redis.call('HSET', K.entries, id, first .. '\n' .. string.sub(e.text, e.at))
  end
end
