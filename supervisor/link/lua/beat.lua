-- A sign of life: renews all that the host has. Returns the hosts. ARGV: 5 name, 6 version, 7 digest, 8 bindings.
-- One that comes a lease after the last finds that others may have got what the host had: it must join anew.
local _, last = beat_of(own)
if now - (last or now) >= lease then return {'LATE'} end
redis.call('HSET', KEYS[2], host, table.concat({conn, int(now), unpack(ARGV, 5)}, ' '))
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], 7 * 86400000) end
return done((hosts()))
