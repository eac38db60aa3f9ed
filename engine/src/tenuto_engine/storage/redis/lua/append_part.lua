-- The `ready` keys that the caller declared, by version. An instance's version is known only to its record, so the
-- caller names the one it believes in, and is told the right one if that key is not here.
local marks = {}

-- Reads one message for an instance from KEYS[k..k+1] and ARGV[a..a+6].
local function read_append(k, a)
  marks[ARGV[a + 1]] = KEYS[k + 1]
  return {
    instance = KEYS[k], ready = KEYS[k + 1],
    id = ARGV[a], message = ARGV[a + 2], remember = ARGV[a + 3] == '1',
    execution = ARGV[a + 4], control = ARGV[a + 5] == '1', body = ARGV[a + 6],
  }, k + 2, a + 7
end

-- Raises if `append` could fail later; answers the true version where its key was not declared.
local function check_append(m, seen)
  call('ZCARD', seen)
  call('ZCARD', m.ready)
  local execution, status, _, version = stand(m.instance)
  if execution and not marks[version] and not find(status, TERMINAL) then return version, '' end
  return nil
end

-- Appends one message, or says why not. `closes`: the activity entry that goes with it, or nil.
local function append(m, seen, closes)
  local now
  if m.remember then
    now = clock_ms()
    if is_seen(seen, m.message, now) then return {'duplicate'} end
  end
  local execution, status, hold, version, _, number, control = stand(m.instance)
  if not execution then return {'refused', 'not_found'} end
  if m.execution ~= '' and m.execution ~= execution then return {'refused', 'stale_execution'} end
  if find(status, TERMINAL) then return {'refused', 'terminal'} end
  local ready = marks[version]
  if not ready then return {'again', m.id, version, ''} end
  if closes then
    local entry = call('HGET', closes.activities, closes.member)
    call('ZCARD', closes.look)
    if not entry then return {'refused', 'activity_closed'} end
    if closes.attempt ~= '0' and match(entry, '^(%d+) ') ~= closes.attempt then return {'refused', 'stale_attempt'} end
  end
  local mark = call('ZSCORE', ready, m.id)
  -- From here on nothing can fail.
  if m.control then control = number + 1 end
  call('HSET', m.instance, format('inbox-%06d', number), m.body, 'inbox', (number + 1) .. ' ' .. control)
  if closes then
    call('HDEL', closes.activities, closes.member)
    call('ZREM', closes.look, closes.member)
  end
  if m.remember then remember(seen, m.message, now) end
  if not mark and (hold == '0' or m.control) then call('ZADD', ready, now or clock_ms(), m.id) end
  return number
end
