-- KEYS: seen, instance, ready, and where an activity is closed: activities, look.
-- ARGV: window, the message, and where an activity is closed: its member, the attempt (0: any).
local m, k, a = read_append(2, 2)
local closes
if KEYS[k] then closes = { activities = KEYS[k], look = KEYS[k + 1], member = ARGV[a], attempt = ARGV[a + 1] } end
if m.remember then call('ZCARD', KEYS[1]) end
return append(m, KEYS[1], closes)
