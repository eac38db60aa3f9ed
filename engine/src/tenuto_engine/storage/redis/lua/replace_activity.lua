-- KEYS: activities, look. ARGV: window, member, expected revision, look_at, the new value.
local entry = call('HGET', KEYS[1], ARGV[2])
call('ZCARD', KEYS[2])
if not entry then return {'refused', 'activity_closed'} end
if match(entry, '^%d+ (%d+) ') ~= ARGV[3] then return {'refused', 'stale_attempt'} end
call('HSET', KEYS[1], ARGV[2], ARGV[5])
call('ZADD', KEYS[2], ARGV[4], ARGV[2])
return {'done'}
