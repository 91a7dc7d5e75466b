-- The flags of a group, see lib/group.lua: letters in its state, and in the hash flags who has set them, and why. The
-- caller writes the group.
--@include keys

local function has_flag(g, letter)
  return string.find(g.flags, letter, 1, true) ~= nil
end

local function add_mark(g, letter)
  g.flags = (g.flags == '-' and '' or g.flags) .. letter
end

local function drop_mark(g, letter)
  g.flags = string.gsub(g.flags, letter, '', 1)
  g.flags = g.flags == '' and '-' or g.flags
end

-- Returns whether the flag is new.
local function set_flag(group, g, letter, said)
  local new = redis.call('HSET', K.flags, letter .. ' ' .. group, said) == 1 or not has_flag(g, letter)
  if not has_flag(g, letter) then
    add_mark(g, letter)
  end
  return new
end

local function clear_flag(group, g, letter)
  redis.call('HDEL', K.flags, letter .. ' ' .. group)
  drop_mark(g, letter)
end
