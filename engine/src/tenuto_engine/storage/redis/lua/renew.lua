-- KEYS: lease. ARGV: unused, token, lease_ms. A lease that ran out and nobody took is prolonged: no other could write.
if ARGV[2] == '' or call('HGET', KEYS[1], 'token') ~= ARGV[2] then return 0 end
call('HSET', KEYS[1], 'expiry', format('%d', clock_ms() + ARGV[3]))
return 1
