-- How many members of a page of reminders are of which kind, as (kind, number) pairs. KEYS: reminders. ARGV: first and
-- last rank. In pages, so that a server with a million timers is never held up for long.
local counts, reply = {}, {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  local kind = string.match(member, '^[^ ]+')
  counts[kind] = (counts[kind] or 0) + 1
end
for kind, number in pairs(counts) do
  reply[#reply + 1] = kind
  reply[#reply + 1] = number
end
return reply
