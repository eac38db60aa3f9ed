-- KEYS: lease, reminders. ARGV: window, token, the reminder's member.
local token = call('HGET', KEYS[1], 'token')
if not token or token == '' or token ~= ARGV[2] then return {'fenced'} end
call('ZREM', KEYS[2], ARGV[3])
return {'done'}
