-- Begins a session: makes the data if there is none, restates what the host has.
-- KEYS: as in ours.lua, then e:CID and c:CID as named. ARGV: 1 print of the secret, and as in ours.lua, 5 name, 6 version,
-- 7 digest, 8 epoch if the data is made, 9 the entry of the log that was read last, '': none; then threes: key, kind of
-- a lease or 'c', its fence or the places in use; behind that 'i', idle ones: kept if nobody else can have got them.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'n', 'print')
if m[1] and m[3] ~= ARGV[1] then return {'PRINT'} end
if not m[1] or not string.match(m[1], '^%w+$') or #m[1] > 32 or not number(m[2]) then
    redis.call('DEL', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[8], 'n', '0', 'print', ARGV[1])
    m = {ARGV[8]}
end
local own = redis.call('HGET', KEYS[2], host)
local had = beat_of(own) or '0'
if tonumber(had) >= tonumber(conn) then return {'STALE', had} end
local _, had_beat = beat_of(own)
local _, others = hosts()
if others >= 64 then return {'MANY'} end
redis.call('HSET', KEYS[2], host, conn .. ' ' .. int(now) .. ' ' .. ARGV[5] .. ' ' .. ARGV[6] .. ' ' .. ARGV[7])
local kept, stored = {}, 0
for i = 10, #ARGV, 3 do
    local key, kind, n = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
    owned(key)
    if kind == 'c' then
        local places, session = string.match(redis.call('HGET', key, host) or '', '^(%d+) (%S+)$')
        local counts = had_beat and now - had_beat < lease and session == had
        stored = counts and number(places, 1000000) or 0
        redis.call('HSET', key, host, n .. ' ' .. conn)
        kept[#kept + 1] = '1'
    elseif kind == 'i' then
        local used = tonumber(ARGV[i - 1])
        local all = used + tonumber(n)
        redis.call('HSET', key, host, int(math.max(used, math.min(all, stored))) .. ' ' .. conn)
        kept[#kept + 1] = all <= stored and '1' or '0'
    else
        local l = redis.call('HGET', key, kind)
        local same = l and l == host .. ' ' .. had .. ' ' .. n
        if same then redis.call('HSET', key, kind, host .. ' ' .. conn .. ' ' .. n) end
        kept[#kept + 1] = same and '1' or '0'
    end
end
-- the number that the entry which was read last has now
local found = '0'
local at = ARGV[9] ~= '' and redis.pcall('XRANGE', KEYS[3], ARGV[9], ARGV[9]) or {}
local fields = at[1] and at[1][2] or {}
for i = 1, #fields - 1, 2 do
    if fields[i] == 'n' and number(fields[i + 1]) then found = fields[i + 1] end
end
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', '1')
last = last[1] and last[1][1] or '0-0'
if #last > 40 then
    -- no clock is so late: its ids are used up
    redis.call('DEL', KEYS[3])
    last = '0-0'
end
return {'OK', redis.call('HGET', KEYS[1], 'n'), int(now), m[1], last, (hosts()), kept, found}
