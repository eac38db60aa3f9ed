-- What every script of the data path begins with. ARGV[1] is the de-duplication window in milliseconds.
-- Redis does not roll back: each script checks all that can fail (types, numbers, preconditions) before its first
-- write, and that first write is one which a full server refuses. Key names that a script may touch are all in KEYS.
local call, match, gmatch, find = redis.call, string.match, string.gmatch, string.find
local sub, gsub, format, floor = string.sub, string.gsub, string.format, math.floor

-- Redis before 7 refuses writes after TIME unless the effects are replicated rather than the script.
if redis.replicate_commands then redis.replicate_commands() end

local WINDOW = tonumber(ARGV[1])
-- execution id, commit id, history length, status, hold, taken, inbox low, version, start id; opaque body follows.
local HEAD = '^([^ \n]*) ([^ \n]*) (%d+) (%d) (%d) (%d+) (%d+) ([^ \n]*) ([^ \n]*)\n'
local TERMINAL = '[456]'
-- `unpack` needs a stack slot for each value, and the stack ends near 8,000; even, for pairs of name and value.
local SLICE = 1000

local function clock_ms()
  local now = call('TIME')
  return now[1] * 1000 + floor(now[2] / 1000)
end

-- Runs one command over ARGV[first..last] in slices.
local function each_slice(command, key, first, last)
  while first <= last do
    local stop = first + SLICE - 1
    if stop > last then stop = last end
    call(command, key, unpack(ARGV, first, stop))
    first = stop + 1
  end
end

-- Where an instance stands; nothing if it is missing. Raises before any write if the record is not ours.
local function stand(instance)
  local record = call('HMGET', instance, 'metadata', 'inbox')
  if not record[1] then return nil end
  local execution, _, _, status, hold, _, _, version, start = match(record[1], HEAD)
  local next_number, control = match(record[2] or '', '^(%d+) (%d+)$')
  if not start or not next_number then error('the metadata or inbox field of ' .. instance .. ' is not readable') end
  return execution, status, hold, version, start, tonumber(next_number), control
end

-- Remembers a command id, and forgets a few whose window is over: more than arrive, so the set stays small.
local function remember(seen, id, now)
  call('ZADD', seen, now, id)
  local old = call('ZRANGEBYSCORE', seen, '-inf', now - WINDOW, 'LIMIT', 0, 8)
  if #old > 0 then call('ZREM', seen, unpack(old)) end
end

local function is_seen(seen, id, now)
  local at = call('ZSCORE', seen, id)
  return at and at + WINDOW > now
end
