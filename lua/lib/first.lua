-- Releases an entry that is alone in its group, when it is parked.
--@include record release bell

-- length: of its message.
local function release_first(lists, group, g, id, queue, cut, limits, text, length, out, wake)
  local entry = {
    us = string.sub(text, 1, 16), group = group, queue = queue, cut = tonumber(cut), limits = limits, text = text,
    at = #text - length + 1,
  }
  local head = new_record(id, queue)
  g[1] = head
  release(lists, group, g, head, entry, out)
  if head.due ~= '-' then -- no worker knows of it
    ring(wake)
  end
end
