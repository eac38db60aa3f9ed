-- KEYS: lease. ARGV: unused, token, cause. The record stays: the epoch must never go back.
if ARGV[2] == '' or call('HGET', KEYS[1], 'token') ~= ARGV[2] then return 0 end
call('HSET', KEYS[1], 'owner', '', 'token', '', 'expiry', 0, 'cause', ARGV[3], 'released', format('%d', clock_ms()))
return 1
