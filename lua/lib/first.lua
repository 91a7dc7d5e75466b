-- Releases an entry that is alone in its group, when it is parked.
--@include record release bell

local function release_first(lists, group, g, id, entry, out, wake)
  local head = new_record(id, entry.queue)
  g[1] = head
  release(lists, group, g, head, entry, out)
  if head.state == 'h' then -- no worker knows of it
    ring(wake)
  end
end
