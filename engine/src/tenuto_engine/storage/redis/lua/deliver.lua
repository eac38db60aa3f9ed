-- KEYS: seen, received, then each delivery's. ARGV: window, source shard, count, then each: number, 'a' or 'c', and
-- the message or the new instance.
local seen, received, source, count = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3])
local highest = tonumber(call('HGET', received, source) or '0')
if not highest then error(received .. ' holds no number') end
local list, k, a = {}, 3, 4
for i = 1, count do
  local number, kind = tonumber(ARGV[a]), ARGV[a + 1]
  if kind == 'c' then list[i], k, a = read_create(k, a + 2) else list[i], k, a = read_append(k, a + 2) end
  list[i].number = number
end
local wrong = check_all(list, seen, nil)
if wrong then return wrong end

-- A repeated create must still tell the parent that the id belongs to another start.
local function repeated(m)
  if m.start then
    local execution, status, _, _, start = stand(m.instance)
    local start_id = plain(m.start)
    local is_own = execution and start_id ~= '' and start == m.start
    local is_taken = execution and not is_own and not find(m.replace, status, 1, true)
    if is_taken and not (start_id ~= '' and is_seen(seen, start_id, clock_ms())) then
      return {'exists', 0, status, execution}
    end
  end
  return {'duplicate'}
end

local outcomes = {}
local last = list[count] and list[count].number or 0
-- The first write: where the server is full it is refused, and with it the whole delivery.
if last > highest then call('HSET', received, source, format('%d', last)) end
for i = 1, count do
  local m = list[i]
  if m.number <= highest then
    outcomes[i] = repeated(m)
  else
    highest = m.number
    if m.start then outcomes[i] = create(m, seen) else outcomes[i] = append(m, seen, nil) end
  end
end
return {'delivered', outcomes}
