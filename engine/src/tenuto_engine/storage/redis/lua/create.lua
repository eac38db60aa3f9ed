-- KEYS: seen, the new instance. ARGV: window, the new instance.
local m = read_create(2, 2)
local version, name = check_create(m, KEYS[1])
if version then return {'again', m.id, version, name} end
return create(m, KEYS[1])
