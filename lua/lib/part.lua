-- Parts that are cut off lines, see cut.lua and cancel.lua.
--@include operate

-- Returns how many of a part's first places may go, and the names of their entries: those that were told, and those
-- whose entries are gone by now. Another process may have ended what this one has told, and an entry may have come back
-- under its name.
local function told_of_part(items, told)
  local known, gone, last = {}, {}, 0
  for item in string.gmatch(told, '[^\n]+') do
    known[item] = true
  end
  for i = 1, #items do
    local us, id = string.match(items[i], '^(%d+) (.*)$')
    local stands = text_in_line(us, id or '')
    if stands and not known[items[i]] then
      break
    end
    gone[#gone + 1], last = stands and id or nil, i
  end
  return last, gone
end
