-- Texts of the header (execution, version) are given as they are written there.
-- KEYS: seen, instance, index:all, what it left (see read_former), activities, look.
-- ARGV: window, instance id, execution, version, name, count of reminders, count of activities, their members.
local seen, instance, all, id = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local execution, status, _, version, start = stand(instance)
if not execution then return {'refused', 'not_found'} end
if execution ~= ARGV[3] then return {'refused', 'stale_execution'} end
if not find(status, TERMINAL) then return {'refused', 'not_terminal'} end
local name = match(call('HGET', instance, 'index') or '', '^%d+ (.*)$') or ''
if version ~= ARGV[4] or name ~= ARGV[5] then return {'again', id, version, name} end
local former, k = read_former(4)
local activities, look, reminders_count, activities_count = KEYS[k], KEYS[k + 1], tonumber(ARGV[6]), tonumber(ARGV[7])
check_former(former)
call('ZCARD', seen)
call('ZCARD', all)
call('HLEN', activities)
call('ZCARD', look)
-- Removals only until the memory is free again, so that a full server can be emptied.
each_slice('ZREM', former.reminders, 8, 7 + reminders_count)
each_slice('HDEL', activities, 8 + reminders_count, 7 + reminders_count + activities_count)
each_slice('ZREM', look, 8 + reminders_count, 7 + reminders_count + activities_count)
call('ZREM', all, id)
erase(instance, former, id, status)
if start ~= '-' then remember(seen, plain(start), clock_ms()) end
return {'done'}
