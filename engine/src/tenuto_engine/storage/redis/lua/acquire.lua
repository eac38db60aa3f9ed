-- KEYS: lease. ARGV: unused, owner, lease_ms, random, force (1 or 0). Answers granted, epoch, owner, remaining, token, and
-- how the former ownership ended and since how many milliseconds nobody owned it.
local lease = call('HMGET', KEYS[1], 'owner', 'epoch', 'expiry', 'cause', 'released')
local owner, epoch, expiry = lease[1] or '', tonumber(lease[2] or '0'), tonumber(lease[3] or '0')
local cause, free_since = lease[4] or '', tonumber(lease[5] or '0')
if not epoch or not expiry or not free_since then error(KEYS[1] .. ' holds no number') end
local now = clock_ms()
if owner ~= '' and owner ~= ARGV[2] and expiry > now and ARGV[5] == '0' then return {0, epoch, owner, expiry - now} end
if owner ~= '' then cause, free_since = 'expiry', expiry end
if free_since == 0 or free_since > now then free_since = now end
-- Every grant fences the previous holder, even the same engine: it may have been paused and not know it. The random
-- part keeps two grants apart that got one epoch because the store went back in between.
epoch = epoch + 1
local token = epoch .. '#' .. ARGV[4]
call('HSET', KEYS[1], 'owner', ARGV[2], 'epoch', epoch, 'token', token, 'expiry', format('%d', now + ARGV[3]))
return {1, epoch, ARGV[2], tonumber(ARGV[3]), token, cause, now - free_since}
