-- KEYS: lease, reminders, seen, instance, ready. ARGV: window, token, the reminder's member, the message.
local token = call('HGET', KEYS[1], 'token')
if not token or token == '' or token ~= ARGV[2] then return {'fenced'} end
local due = call('ZSCORE', KEYS[2], ARGV[3])
if not due then return {'refused', 'gone'} end
if tonumber(due) > clock_ms() then return {'refused', 'early'} end
local m = read_append(4, 4)
local version = check_append(m, KEYS[3])
if version then return {'again', m.id, version, ''} end
-- The message first: a full server refuses that write, and the reminder stays.
local outcome = append(m, KEYS[3], nil)
call('ZREM', KEYS[2], ARGV[3])
if type(outcome) == 'table' and outcome[1] == 'refused' then outcome[1] = 'dropped' end
return outcome
