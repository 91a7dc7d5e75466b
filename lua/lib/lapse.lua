-- Ends the block of a group whose time is over.
--@include entry halt withdraw

-- The entry that has failed leaves; where its policy says so, it becomes a dead letter.
local function lapse(group, g, id)
  local said = said_of_block(group, id)
  local why = string.match(said, '"why": ("{.-}")')
  local text = withdraw(id, group, g)
  if why then
    set_aside(id, group, cjson.decode('[' .. why .. ']')[1], text)
  end
end
