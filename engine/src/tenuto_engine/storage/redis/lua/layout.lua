-- Writes the layout record if there is none, and answers the stored one. KEYS: layout. ARGV: window, version, shards.
if call('EXISTS', KEYS[1]) == 0 then
  call('HSET', KEYS[1], 'version', ARGV[2], 'shards', ARGV[3], 'created_at_ms', format('%d', clock_ms()))
end
return call('HMGET', KEYS[1], 'version', 'shards')
