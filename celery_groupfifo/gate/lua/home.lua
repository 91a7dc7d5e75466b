-- Made of lua/home.lua by `make scripts`: change that file, not this one.
--
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
local redis_call = redis.call
local K_groups = KEYS[2]
local K_flags = KEYS[4]
local K_begins = KEYS[6]
local K_fence = KEYS[7]
local K_dead = KEYS[9]
-- The starts of the ranges of due.
local K_us_text = ARGV[1]
if K_us_text == '' then
  local time = redis_call('TIME')
  K_us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
local K_ms_text = string.sub(K_us_text, 1, 13)
local function now_ms()
  return tonumber(K_ms_text)
end
local KEEP = 600000 -- ms that a producer's number is remembered: longer than any caller repeats a call

local floor, place, number, identity, names = string.match(ARGV[3], '^(%S+) (%S+) (%S+) (%S+)(.*)$')
table.remove(ARGV, 3)
local producer = KEYS[tonumber(place) or 0]

if floor ~= '-' and (redis_call('GET', K_fence) or '') < floor then -- both have 16 digits
  redis_call('SET', K_fence, floor)
end
local known, told
if number ~= '-' then
  local last = redis_call('GET', producer)
  local look_up_1, look_up_2
  do -- look_up(last, number)
    local own, first = string.match(number, '^(%d+)/?(%d*)$')
    local before, of, refused = string.match(last or '', '^(%d+)/?(%d*)(.*)$')
    local repeated, told = before and tonumber(before) >= tonumber(own), nil
    if of and of ~= '' then
      for from, to, words in string.gmatch(refused, ' (%d+)%-(%d+):(%S+)') do
        if tonumber(own) >= tonumber(from) and tonumber(own) <= tonumber(to) then
          repeated, told = true, words
        end
      end
    end
    local more = first ~= '' and of == first and refused or ''
    look_up_1, look_up_2 = repeated, told
  end
  known, told = look_up_1, look_up_2
elseif producer then
  known = redis_call('EXISTS', producer) == 1
end
if told == 'moved' or told == 'split' then
  known = false
end
if not known then
  local here, gone = 0, 0
  for group in string.gmatch(names, '%S+') do
    local held = redis_call('HEXISTS', K_groups, group)
    if held == 0 then
      held = redis_call('HEXISTS', K_dead, 'count ' .. group)
    end
    for flag in string.gmatch('pbdl', '.') do
      held = held == 0 and redis_call('HEXISTS', K_flags, flag .. ' ' .. group) or held
    end
    for kept in string.gmatch('sm', '.') do
      held = held == 0 and redis_call('HEXISTS', K_begins, kept .. ' ' .. group) or held
    end
    here, gone = here + held, gone + 1 - held
  end
  if gone > 0 or told then
    local till, holder
    if identity ~= '-' then
      local field = 'i' .. string.match(names, '^ %S+') .. ' ' .. identity
      till, holder = string.match(redis_call('HGET', K_begins, field) or '', '^(%d+) (.*)$')
    end
    if till and tonumber(till) > now_ms() then
      do -- refuse_early(producer, KEEP, number, '-1|' .. holder .. '|e')
        local keep, words = KEEP, '-1|' .. holder .. '|e'
        if not tonumber(number) then
          do -- restore_number(producer, redis_call('GET', producer), keep, number, words)
            local last = redis_call('GET', producer)
            local own, first = string.match(number, '^(%d+)/(%d+)$')
            local value, answer = last, tostring(words)
            if own then
              local before, of, refused = string.match(last or '0', '^(%d+)/?(%d*)(.*)$')
              refused = of == first and refused or ''
              local others, from, to, said = string.match(refused, '^(.*) (%d+)%-(%d+):(%S+)$')
              if not others or said ~= answer or tonumber(to) + 1 ~= tonumber(own) then
                others, from = refused, own
              end
              value = before .. '/' .. first .. others .. ' ' .. from .. '-' .. own .. ':' .. answer
            end
            if value then
              redis_call('SET', producer, value, 'PX', keep)
            else
              redis_call('DEL', producer)
            end
          end
        end
      end
      return { -1, holder, 'e' }
    end
    -- A round trip of many that is repeated must not take a later call's number for this one's.
    local word = told or here > 0 and 'split' or 'moved'
    if number ~= '-' and not told then
      do -- refuse_early(producer, KEEP, number, word)
        local keep, words = KEEP, word
        if not tonumber(number) then
          do -- restore_number(producer, redis_call('GET', producer), keep, number, words)
            local last = redis_call('GET', producer)
            local own, first = string.match(number, '^(%d+)/(%d+)$')
            local value, answer = last, tostring(words)
            if own then
              local before, of, refused = string.match(last or '0', '^(%d+)/?(%d*)(.*)$')
              refused = of == first and refused or ''
              local others, from, to, said = string.match(refused, '^(.*) (%d+)%-(%d+):(%S+)$')
              if not others or said ~= answer or tonumber(to) + 1 ~= tonumber(own) then
                others, from = refused, own
              end
              value = before .. '/' .. first .. others .. ' ' .. from .. '-' .. own .. ':' .. answer
            end
            if value then
              redis_call('SET', producer, value, 'PX', keep)
            else
              redis_call('DEL', producer)
            end
          end
        end
      end
    end
    return { word, redis_call('GET', K_fence) or K_us_text }
  end
end
