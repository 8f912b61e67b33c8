-- Binds conversations. KEYS: 4 … b:N. ARGV: 5 ttl in s, 6 most bindings of a bucket, 7 … in twos: key, record (16 bytes
-- conversation, 8 from, 8 to, 4 last use in s; zeros: none). Returns for each '' or what is stored instead (8 bytes
-- CID, 4 last use).
local ttl, cap = tonumber(ARGV[5]), tonumber(ARGV[6])
local none = string.rep('\0', 8)
local now_s = math.floor(now / 1000)
local function make_room(key)
    local all = redis.call('HGETALL', key)
    local oldest, at = nil, nil
    for i = 1, #all, 2 do
        local used = #all[i + 1] == 12 and struct.unpack('>I4', all[i + 1], 9) or 0
        if used + ttl <= now_s then
            redis.call('HDEL', key, all[i])
        elseif not at or used < at then
            oldest, at = all[i], used
        end
    end
    if redis.call('HLEN', key) >= cap and oldest then redis.call('HDEL', key, oldest) end
end
local replies, taken = {}, {}
for i = 7, #ARGV, 2 do
    local key, r = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
    local field, from, to = string.sub(r, 1, 16), string.sub(r, 17, 24), string.sub(r, 25, 32)
    local used = math.min(struct.unpack('>I4', r, 33), now_s)
    local old = redis.pcall('HGET', key, field)
    if type(old) == 'table' then
        owned(key)
        old = false
    end
    local had, last = none, 0
    if old and #old == 12 then
        had, last = string.sub(old, 1, 8), math.min(struct.unpack('>I4', old, 9), now_s)
        if last + ttl <= now_s then had = none end
    end
    if had ~= none and had ~= from and had ~= to then
        replies[#replies + 1] = old
    elseif to == none then
        if had == from and had ~= none then
            redis.call('HDEL', key, field)
            taken[#taken + 1] = field .. none .. struct.pack('>I4', used)
        end
        replies[#replies + 1] = ''
    else
        if not old and redis.call('HLEN', key) >= cap then make_room(key) end
        if had == to then used = math.max(used, last) end
        local value = to .. struct.pack('>I4', used)
        if value ~= old then
            redis.call('HSET', key, field, value)
            redis.call('EXPIRE', key, ttl)
            taken[#taken + 1] = field .. value
        end
        replies[#replies + 1] = ''
    end
end
if #taken > 0 then tell('b', table.concat(taken)) end
return done(replies)
