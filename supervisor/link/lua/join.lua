-- Begins a session: makes the data if there is none, restates what the host has.
-- KEYS: 1 m, 2 h, 3 l, then e:CID and c:CID as named. ARGV: 1 print of the secret, 2 host, 3 conn, 4 name, 5 version,
-- 6 digest, 7 epoch if the data is made; then threes: key, kind of a lease or 'c', its fence or the places in use.
local host, conn = ARGV[2], ARGV[3]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(n) return string.format('%.0f', n) end
local m = redis.call('HMGET', KEYS[1], 'epoch', 'print')
if not m[1] then
    redis.call('DEL', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[7], 'n', '0', 'print', ARGV[1])
    m = {ARGV[7], ARGV[1]}
elseif m[2] ~= ARGV[1] then
    return {'PRINT'}
end
local own = redis.call('HGET', KEYS[2], host)
local had = own and string.match(own, '^%d+') or '0'
if tonumber(had) >= tonumber(conn) then return {'STALE', had} end
redis.call('HSET', KEYS[2], host, conn .. ' ' .. int(now) .. ' ' .. ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
local kept = {}
for i = 8, #ARGV, 3 do
    local key, kind, n = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
    if kind == 'c' then
        redis.call('HSET', key, host, n .. ' ' .. conn)
        kept[#kept + 1] = '1'
    else
        local l = redis.call('HGET', key, kind)
        local same = l and l == host .. ' ' .. had .. ' ' .. n
        if same then redis.call('HSET', key, kind, host .. ' ' .. conn .. ' ' .. n) end
        kept[#kept + 1] = same and '1' or '0'
    end
end
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', '1')
return {'OK', redis.call('HGET', KEYS[1], 'n'), int(now), m[1], last[1] and last[1][1] or '0-0',
        redis.call('HGETALL', KEYS[2]), kept}
