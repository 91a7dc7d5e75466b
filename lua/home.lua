-- home: say whether groups are still in a partition that they leave as the number of partitions grows.
--
-- It stands before a script that may be the first to store something of a group, too, and takes its own argument away:
-- that script goes on where this one returns nothing. See gate/growing.py.
--
-- KEYS[1-9]     the gate's own, see lib/keys.lua
-- ARGV[1-2]     clock, tag
-- ARGV[3] said  (text) "<floor> <place> <number> <identity> <group>...", where - is none
--                      floor: later fences are above it; place: of the key of the producer, or of the answer to this
--                      action; number: of the producer's park; identity: of the call
-- Returns nothing when they are here, or the call was made here before · {'moved', fence} nothing of them is here, and
--         never will be; the next place draws higher fences · {'split', fence} that is so for some of several groups
--         · {-1, entry, 'e'} the call is a duplicate of one that has ended here, see lib/claim.lua
-- Complexity O(groups)
--@include keys clock number
local floor, place, number, identity, names = string.match(ARGV[3], '^(%S+) (%S+) (%S+) (%S+)(.*)$')
table.remove(ARGV, 3)
local producer = KEYS[tonumber(place) or 0]

if floor ~= '-' and (redis.call('GET', K.fence) or '') < floor then -- both have 16 digits
  redis.call('SET', K.fence, floor)
end
local known, told
if number ~= '-' then
  local last = redis.call('GET', producer)
  known, told = look_up(last, number)
elseif producer then
  known = redis.call('EXISTS', producer) == 1
end
if told == 'moved' or told == 'split' then
  known = false
end
if not known then
  local here, gone = 0, 0
  for group in string.gmatch(names, '%S+') do
    local held = redis.call('HEXISTS', K.groups, group)
    if held == 0 then
      held = redis.call('HEXISTS', K.dead, 'count ' .. group)
    end
    for flag in string.gmatch('pbdl', '.') do
      held = held == 0 and redis.call('HEXISTS', K.flags, flag .. ' ' .. group) or held
    end
    for kept in string.gmatch('sm', '.') do
      held = held == 0 and redis.call('HEXISTS', K.begins, kept .. ' ' .. group) or held
    end
    here, gone = here + held, gone + 1 - held
  end
  if gone > 0 or told then
    local till, holder
    if identity ~= '-' then
      local field = 'i' .. string.match(names, '^ %S+') .. ' ' .. identity
      till, holder = string.match(redis.call('HGET', K.begins, field) or '', '^(%d+) (.*)$')
    end
    if till and tonumber(till) > now_ms() then
      refuse_early(producer, KEEP, number, '-1|' .. holder .. '|e')
      return { -1, holder, 'e' }
    end
    -- A round trip of many that is repeated must not take a later call's number for this one's.
    local word = told or here > 0 and 'split' or 'moved'
    if number ~= '-' and not told then
      refuse_early(producer, KEEP, number, word)
    end
    return { word, redis.call('GET', K.fence) or K.us_text }
  end
end
