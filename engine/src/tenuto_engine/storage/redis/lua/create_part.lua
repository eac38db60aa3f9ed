-- Removes a terminal instance and what it left in the shard, but for its entry in `index:all`.
-- The commit that closed it removed its activity entries and reminders by name; those it set itself are `retained`.
local function erase(instance, former, id, status)
  local retained = call('HGET', instance, 'retained')
  if retained then
    for member in gmatch(retained, '[^\n]+') do call('ZREM', former.reminders, member) end
  end
  call('ZREM', former.ready, id)
  call('ZREM', former[status], id)
  call('ZREM', former.name, id)
  call('UNLINK', instance)
end

local function read_former(k)
  return {
    ready = KEYS[k], reminders = KEYS[k + 1], ['4'] = KEYS[k + 2], ['5'] = KEYS[k + 3], ['6'] = KEYS[k + 4],
    name = KEYS[k + 5],
  }, k + 6
end

local function check_former(former)
  call('ZCARD', former.ready)
  call('ZCARD', former.reminders)
  call('ZCARD', former['4'])
  call('ZCARD', former['5'])
  call('ZCARD', former['6'])
  call('ZCARD', former.name)
end

-- The start id as the client gave it: see write_text in keys.py.
local function plain(text)
  if find(text, '%', 1, true) then
    text = gsub(gsub(gsub(text, '%%20', ' '), '%%0A', '\n'), '%%25', '%%')
  end
  if sub(text, 1, 1) == '-' then return sub(text, 2) end
  return text
end

-- Reads one new instance; the keys of a former one follow only where something may be replaced.
local function read_create(k, a)
  local m = {
    instance = KEYS[k], ready = KEYS[k + 1], all = KEYS[k + 2], status = KEYS[k + 3], name = KEYS[k + 4],
    open = KEYS[k + 5], reminders = KEYS[k + 6],
    id = ARGV[a], version = ARGV[a + 1], start = ARGV[a + 2], replace = ARGV[a + 3], former_version = ARGV[a + 4],
    former_name = ARGV[a + 5], created = ARGV[a + 6], is_ready = ARGV[a + 7] == '1', is_open = ARGV[a + 8] == '1',
    reminders_count = tonumber(ARGV[a + 9]), fields_count = tonumber(ARGV[a + 10]), first = a + 11,
  }
  marks[m.version] = m.ready
  k = k + 7
  if m.replace ~= '' then m.former, k = read_former(k) end
  return m, k, m.first + 2 * m.reminders_count + m.fields_count
end

-- Raises if `create` could fail later; answers the true version and name of what is replaced, if named otherwise.
local function check_create(m, seen)
  call('ZCARD', seen)
  call('ZCARD', m.ready)
  call('ZCARD', m.all)
  call('ZCARD', m.status)
  call('ZCARD', m.name)
  call('ZCARD', m.reminders)
  if not tonumber(call('HGET', m.open, m.version) or '0') then error(m.open .. ' holds no number') end
  local execution, status, _, version = stand(m.instance)
  if not execution or not find(m.replace, status, 1, true) then return nil end
  check_former(m.former)
  local name = match(call('HGET', m.instance, 'index') or '', '^%d+ (.*)$')
  if version ~= m.former_version or name ~= m.former_name then return version, name or '' end
  return nil
end

-- Makes one instance, or says who has the id. Call `check_create` before the script's first write.
local function create(m, seen)
  local execution, status, _, _, start = stand(m.instance)
  local start_id = plain(m.start)
  if execution and start_id ~= '' and start == m.start then return {'exists', 1, status, execution} end
  local now = clock_ms()
  if start_id ~= '' and is_seen(seen, start_id, now) then return {'exists', 1, status or '4', '-'} end
  if execution and not find(m.replace, status, 1, true) then return {'exists', 0, status, execution} end
  call('ZADD', m.all, m.created, m.id)
  if execution then
    if start ~= '-' then remember(seen, plain(start), now) end
    erase(m.instance, m.former, m.id, status)
  end
  local at = m.first
  for _ = 1, m.reminders_count do
    call('ZADD', m.reminders, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  each_slice('HSET', m.instance, at, at + m.fields_count - 1)
  call('ZADD', m.status, m.created, m.id)
  call('ZADD', m.name, m.created, m.id)
  if m.is_open then call('HINCRBY', m.open, m.version, 1) end
  if m.is_ready then call('ZADD', m.ready, now, m.id) end
  return {'created', m.is_ready and 1 or 0}
end

-- Checks a list of parsed parts; answers what to return if the caller must name other versions or names.
local function check_all(list, seen, own)
  local wrong = {'again'}
  for i = 1, #list do
    local m, version, name = list[i], nil, nil
    if m.start then version, name = check_create(m, seen)
    -- What a commit sends to its own instance is judged by what the commit writes.
    elseif m.instance ~= own then version, name = check_append(m, seen) end
    if version then
      wrong[#wrong + 1] = m.id
      wrong[#wrong + 1] = version
      wrong[#wrong + 1] = name
    end
  end
  if #wrong > 1 then return wrong end
  return nil
end
