-- The end of a session: gives back leases and places. KEYS: 4 … e:CID and c:CID. ARGV: 5 … of each key, 'e' or 'c',
-- and its CID.
for i = 4, #KEYS do
    local kind, cid = ARGV[2 * i - 3], ARGV[2 * i - 2]
    owned(KEYS[i])
    if kind == 'c' then
        if redis.call('HDEL', KEYS[i], host, 'w:' .. host) > 0 then tell('p', cid) end
    else
        local all = redis.call('HGETALL', KEYS[i])
        for j = 1, #all, 2 do
            if string.match(all[j], '^[tv]') and string.match(all[j + 1], '^%S+') == host then
                redis.call('HDEL', KEYS[i], all[j])
                tell('f', cid .. ' ' .. all[j])
            end
        end
    end
end
redis.call('HDEL', KEYS[2], host)
return done()
