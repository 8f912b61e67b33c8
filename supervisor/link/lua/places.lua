-- Lends places of max_concurrent in a block. KEYS: 4 c:CID. ARGV: 5 CID, 6 limit, 7 have, 8 want. Returns the places
-- that the host has now, those of all hosts, whether another host waits, and how many hosts have places.
local key, cid = KEYS[4], ARGV[5]
local limit, have, want = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
owned(key)
local all = redis.call('HGETALL', key)
local mine, others, hosts, waits, since, returned = nil, 0, 0, {}, nil, false
for i = 1, #all, 2 do
    local field, value = all[i], all[i + 1]
    local waiter = string.match(field, '^w:(.*)$')
    if waiter == host then
        since = number(value)
    elseif waiter then
        local c = beat_of(redis.call('HGET', KEYS[2], waiter))
        if c and number(value) and alive(waiter, c) then
            waits[#waits + 1] = number(value)
        else
            redis.call('HDEL', key, field)
        end
    else
        local n, session = string.match(value, '^(%d+) (%S+)$')
        n = number(n, 1000000) -- the most that a configuration allows
        if field == host then
            -- only a join states more than is stored
            if n then
                mine = session == conn and math.min(n, have) or 0
                returned = n > mine
            end
        elseif n and alive(field, session) then
            others = others + n
            if n > 0 then hosts = hosts + 1 end
        else
            redis.call('HDEL', key, field)
        end
    end
end
-- While a host beats nobody takes its field away: what the engine has lost is stated again.
mine = mine or (alive(host, conn) and have or 0)
-- Hosts that have waited longer get theirs first: one place each is left to them.
local before = 0
for _, at in ipairs(waits) do
    if not since or at < since then before = before + 1 end
end
local free = math.max(0, limit - mine - others)
local got = math.max(0, math.min(want, free - before))
redis.call('HSET', key, host, int(mine + got) .. ' ' .. conn)
redis.call('PEXPIRE', key, 30 * 86400000)
if got >= want then
    redis.call('HDEL', key, 'w:' .. host)
elseif not since then
    redis.call('HSET', key, 'w:' .. host, int(now))
    tell('p', cid)
end
-- what came back may be what the others wait for
if returned and #waits > 0 then tell('p', cid) end
if mine + got > 0 then hosts = hosts + 1 end
return done(int(mine + got), int(mine + got + others), #waits > 0 and '1' or '0', int(hosts))
