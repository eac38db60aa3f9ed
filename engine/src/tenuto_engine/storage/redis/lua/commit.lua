-- One fenced commit. KEYS: lease, instance, ready; then, each group only where its count is not 0 (or its letter is in
-- `mode`), in the order of the sections below. ARGV: 1 window, 2 token, 3 base ("execution commit length "), 4 commit,
-- 5 instance id, 6 mode (r renew, c close, k keep ready, t terminal, h held, v the version changes), 7 ready_at,
-- 8 taken, 9 version; counts: 10 consumed, 11 fields, 12-13 activities removed, set, 14-15 reminders removed, set,
-- 16 outbox, 17-18 index entries removed, added, 19 appends; then what is counted, in this order.
local instance, ready, id, mode = KEYS[2], KEYS[3], ARGV[5], ARGV[6]
local token = call('HGET', KEYS[1], 'token')
if not token or token == '' or token ~= ARGV[2] then return {'fenced'} end
local record = call('HMGET', instance, 'metadata', 'inbox')
local metadata = record[1]
if not metadata then return {'conflict', 'missing', ''} end
local number, control = match(record[2] or '', '^(%d+) (%d+)$')
if not number then error('the inbox field of ' .. instance .. ' is not readable') end
number = tonumber(number)
if sub(metadata, 1, #ARGV[3]) ~= ARGV[3] then
  local execution, commit, length = match(metadata, HEAD)
  local base_execution, base_commit = match(ARGV[3], '^([^ ]*) ([^ ]*) ')
  if commit == ARGV[4] then return {'duplicate', number} end
  if execution ~= base_execution then return {'conflict', 'execution', execution or ''} end
  if commit ~= base_commit then return {'conflict', 'commit', commit} end
  return {'conflict', 'length', length}
end
local consumed = tonumber(ARGV[10])
for i = 20, 19 + consumed do
  if call('HEXISTS', instance, ARGV[i]) == 0 then return {'conflict', 'message', ARGV[i]} end
end

-- The rest of the checks. Cursors: k over KEYS, a over ARGV; each section remembers where its part begins.
local k, a = 4, 20 + consumed
local fields_at, fields = a, tonumber(ARGV[11])
a = a + fields
local is_moved, old_ready, old_version = false, ready, nil
if mode ~= '' then
  is_moved = find(mode, 'v', 1, true)
  if is_moved then
    old_ready = KEYS[k]
    k = k + 1
    call('ZCARD', old_ready)
  end
end
local mark = call('ZSCORE', ready, id)

local activities_removed, activities_set = tonumber(ARGV[12]), tonumber(ARGV[13])
local activities_at, old_activities, old_look, activities, look = a, nil, nil, nil, nil
if activities_removed + activities_set > 0 then
  old_activities, old_look = KEYS[k], KEYS[k + 1]
  k = k + 2
  activities, look = old_activities, old_look
  if is_moved then
    activities, look = KEYS[k], KEYS[k + 1]
    k = k + 2
    call('HLEN', old_activities)
    call('ZCARD', old_look)
  end
  call('HLEN', activities)
  call('ZCARD', look)
  a = a + activities_removed + 3 * activities_set
end

local reminders_removed, reminders_set = tonumber(ARGV[14]), tonumber(ARGV[15])
local reminders_at, old_reminders, reminders = a, nil, nil
if reminders_removed + reminders_set > 0 then
  old_reminders = KEYS[k]
  k = k + 1
  reminders = old_reminders
  if is_moved then
    reminders = KEYS[k]
    k = k + 1
    call('ZCARD', old_reminders)
  end
  call('ZCARD', reminders)
  a = a + reminders_removed + 2 * reminders_set
end

local outbox_count, outbox_at, outbox, last_sent = tonumber(ARGV[16]), a, nil, nil
if outbox_count > 0 then
  outbox, last_sent = KEYS[k], KEYS[k + 1]
  k = k + 2
  call('ZCARD', outbox)
  if not tonumber(call('GET', last_sent) or '0') then error(last_sent .. ' holds no number') end
  a = a + 2 * outbox_count
end

local index_removed, index_added = tonumber(ARGV[17]), tonumber(ARGV[18])
local index_key, index_at = k, a
for i = k, k + index_removed + index_added - 1 do call('ZCARD', KEYS[i]) end
k = k + index_removed + index_added
if index_added > 0 then a = a + 1 end

local open, was_open
if find(mode, '[cv]') then
  open = KEYS[k]
  k = k + 1
  local _, _, _, status, _, _, _, stored_version = match(metadata, HEAD)
  old_version, was_open = stored_version, not find(status, TERMINAL)
  if not tonumber(call('HGET', open, old_version) or '0') then error(open .. ' holds no number') end
  if not tonumber(call('HGET', open, ARGV[9]) or '0') then error(open .. ' holds no number') end
end

local appends = tonumber(ARGV[19])
local seen, list = nil, nil
if appends > 0 then
  marks[ARGV[9]] = ready
  seen, list = KEYS[k], {}
  k = k + 1
  for i = 1, appends do list[i], k, a = read_append(k, a) end
  local wrong = check_all(list, seen, instance)
  if wrong then return wrong end
end

-- From here on nothing can fail. The first write is an HSET: a full server refuses it, and with it the commit.
if find(mode, 'r', 1, true) then
  local _, _, _, _, _, _, low = match(metadata, HEAD)
  local kept, is_consumed = {}, {}
  for i = 20, 19 + consumed do is_consumed[ARGV[i]] = true end
  local carried = { 'customStatus', 'index', 'inbox' }
  for i = tonumber(low), number - 1 do
    local name = format('inbox-%06d', i)
    if not is_consumed[name] then carried[#carried + 1] = name end
  end
  for i = 1, #carried do kept[i] = call('HGET', instance, carried[i]) end
  call('HSET', instance, ARGV[fields_at], ARGV[fields_at + 1])
  call('UNLINK', instance)
  for i = 1, #carried do
    if kept[i] then call('HSET', instance, carried[i], kept[i]) end
  end
  each_slice('HSET', instance, fields_at, fields_at + fields - 1)
else
  each_slice('HSET', instance, fields_at, fields_at + fields - 1)
  each_slice('HDEL', instance, 20, 19 + consumed)
end

if activities then
  for i = activities_at, activities_at + activities_removed - 1 do
    call('HDEL', old_activities, ARGV[i])
    call('ZREM', old_look, ARGV[i])
  end
  local at = activities_at + activities_removed
  for _ = 1, activities_set do
    call('HSET', activities, ARGV[at], ARGV[at + 2])
    call('ZADD', look, ARGV[at + 1], ARGV[at])
    at = at + 3
  end
end

if reminders then
  each_slice('ZREM', old_reminders, reminders_at, reminders_at + reminders_removed - 1)
  local first = reminders_at + reminders_removed
  each_slice('ZADD', reminders, first, first + 2 * reminders_set - 1)
  if reminders_set > 0 and find(mode, 't', 1, true) then
    local members = { call('HGET', instance, 'retained') or nil }
    for i = first + 1, first + 2 * reminders_set - 1, 2 do members[#members + 1] = ARGV[i] end
    call('HSET', instance, 'retained', table.concat(members, '\n'))
  end
end

local sent = {}
if outbox then
  local now = call('TIME')
  local following = math.max(tonumber(call('GET', last_sent) or '0') + 1, now[1] * 1000000 + now[2])
  for i = 0, outbox_count - 1 do
    local text = format('%d', following + i)
    call('ZADD', outbox, text, text .. ' ' .. ARGV[outbox_at + 2 * i] .. ' ' .. ARGV[outbox_at + 2 * i + 1])
    sent[i + 1] = following + i
  end
  call('SET', last_sent, format('%d', following + outbox_count - 1))
end

for i = index_key, index_key + index_removed - 1 do call('ZREM', KEYS[i], id) end
for i = index_key + index_removed, index_key + index_removed + index_added - 1 do
  call('ZADD', KEYS[i], ARGV[index_at], id)
end
if was_open then
  call('HINCRBY', open, old_version, -1)
  if not find(mode, 'c', 1, true) then call('HINCRBY', open, ARGV[9], 1) end
end

local outcomes = {}
if list then
  for i = 1, #list do outcomes[i] = append(list[i], seen, nil) end
  -- A message to itself moved the numbering, and may have marked it ready.
  number, control = match(call('HGET', instance, 'inbox'), '^(%d+) (%d+)$')
  number = tonumber(number)
  mark = call('ZSCORE', ready, id)
end

-- The ready mark, last.
if is_moved then
  mark = mark or call('ZSCORE', old_ready, id)
  call('ZREM', old_ready, id)
  if mark then call('ZADD', ready, mark, id) end
end
local stays = number ~= tonumber(ARGV[8])
if mode ~= '' then
  if find(mode, 't', 1, true) then
    stays = false
  elseif find(mode, 'h', 1, true) then
    -- A resume or terminate that came during the turn must still be seen.
    stays = control ~= '0' and call('HEXISTS', instance, format('inbox-%06d', control - 1)) == 1
  else
    stays = stays or find(mode, 'k', 1, true)
  end
end
if not stays then
  if mark then call('ZREM', ready, id) end
elseif ARGV[7] ~= '0' then
  call('ZADD', ready, ARGV[7], id)
elseif not mark then
  call('ZADD', ready, clock_ms(), id)
end
if outbox or list then return {'committed', number, sent, outcomes} end
return number
