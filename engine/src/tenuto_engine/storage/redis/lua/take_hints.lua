-- KEYS: lists of hints, in the order to take from. ARGV: how many at most. Answers for each list what was taken off it.
local left, taken = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local found = left > 0 and redis.call('LPOP', key, left) or {}
  left = left - #found
  taken[i] = found
end
return taken
