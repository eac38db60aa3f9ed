-- KEYS: outbox. ARGV: window, numbers.
for i = 2, #ARGV do call('ZREMRANGEBYSCORE', KEYS[1], ARGV[i], ARGV[i]) end
return {'done'}
