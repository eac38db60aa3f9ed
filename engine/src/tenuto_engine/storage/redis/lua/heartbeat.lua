-- KEYS: members, their expiry. ARGV: unused, engine id, ttl_ms, description. Forgets those whose heartbeat ran out, and
-- answers the clock, then the description and the milliseconds left of each of the others.
local now = clock_ms()
call('HLEN', KEYS[1])
call('ZCARD', KEYS[2])
call('HSET', KEYS[1], ARGV[2], ARGV[4])
call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
local gone = call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)
for i = 1, #gone do
  call('HDEL', KEYS[1], gone[i])
  call('ZREM', KEYS[2], gone[i])
end
local alive = call('ZRANGEBYSCORE', KEYS[2], '(' .. format('%d', now), '+inf', 'WITHSCORES')
local roll = { now }
for i = 1, #alive, 2 do
  local description = call('HGET', KEYS[1], alive[i])
  if description then
    roll[#roll + 1] = description
    roll[#roll + 1] = tonumber(alive[i + 1]) - now
  end
end
return roll
