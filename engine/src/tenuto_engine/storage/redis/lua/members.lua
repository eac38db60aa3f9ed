-- KEYS: members, their expiry. Answers the descriptions of those whose heartbeat has not run out.
local alive = call('ZRANGEBYSCORE', KEYS[2], '(' .. format('%d', clock_ms()), '+inf')
local members = {}
for i = 1, #alive do
  local description = call('HGET', KEYS[1], alive[i])
  if description then members[#members + 1] = description end
end
return members
