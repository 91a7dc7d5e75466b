-- The time, as text.
--@include keys
K.us_text = ARGV[1]
if K.us_text == '' then
  local time = redis.call('TIME')
  K.us_text = time[1] .. string.sub('00000' .. time[2], -6)
end
K.ms_text = string.sub(K.us_text, 1, 13)

local function now_ms()
  return tonumber(K.ms_text)
end

local function digits(value)
  return string.format('%.0f', value)
end

-- Draw the number of a release, or the fence of a run: max(last + 1, time). It grows over restarts, lost data,
-- failovers and jumps of the clock.
local function draw_number()
  local drawn = K.us_text
  local last = redis.call('SET', K.fence, drawn, 'GET')
  if last and last >= drawn then -- both have 16 digits
    drawn = string.format('%.0f', last + 1)
    redis.call('SET', K.fence, drawn)
  end
  return drawn
end
