-- A page of history: as many records as exist and fit. KEYS: instance. ARGV: first, end, bytes left, 1 if the first
-- record is given whatever its size. Lengths are asked for first, so that what does not fit is not copied.
local records, room = {}, tonumber(ARGV[3])
local is_free = ARGV[4] == '1'
for index = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local name = string.format('history-%06d', index)
  room = room - redis.call('HSTRLEN', KEYS[1], name)
  if room < 0 and not is_free then break end
  local record = redis.call('HGET', KEYS[1], name)
  if not record then break end
  records[#records + 1] = record
  is_free = false
end
return records
