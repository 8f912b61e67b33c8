-- A sign of life: renews all that the host has. Returns the hosts. ARGV: 5 name, 6 version, 7 digest, 8 bindings.
redis.call('HSET', KEYS[2], host, table.concat({conn, int(now), unpack(ARGV, 5)}, ' '))
local hosts = redis.call('HGETALL', KEYS[2])
for i = 1, #hosts, 2 do
    local beat = string.match(hosts[i + 1], '^%d+ (%d+)')
    -- one that is gone for good; its places and leases count no longer than a lease
    if not beat or now - tonumber(beat) > 3600000 + lease then redis.call('HDEL', KEYS[2], hosts[i]) end
end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], 7 * 86400000) end
return done(hosts)
