-- Reads what is ours of whole hashes. KEYS: 4 …. ARGV: 5 'e': of endpoints, field and value in turn, 512 at most of
-- each; 'b': of buckets, one text each, of 28 bytes for a binding: conversation, CID, last use.
local replies, left = {}, 131072
local function endpoint(key)
    local all, out = redis.call('HGETALL', key), {}
    for i = 1, #all, 2 do
        if #out < 1024 and #all[i] <= 18 and #all[i + 1] <= 300 and string.match(all[i], '^[wzkbqcxstv]') then
            out[#out + 1] = all[i]
            out[#out + 1] = all[i + 1]
        end
    end
    return out
end
local function bucket(key)
    -- no host has so many there
    if redis.call('HLEN', key) > 4096 then
        redis.call('DEL', key)
        tell('d', string.match(key, '}:1:(.*)$'))
    end
    local all, out = redis.call('HGETALL', key), {}
    for i = 1, #all, 2 do
        if left > 0 and #all[i] == 16 and #all[i + 1] == 12 then
            out[#out + 1] = all[i] .. all[i + 1]
            left = left - 1
        end
    end
    return table.concat(out)
end
for i = 4, #KEYS do
    owned(KEYS[i])
    replies[#replies + 1] = (ARGV[5] == 'b' and bucket or endpoint)(KEYS[i])
end
return done(replies)
