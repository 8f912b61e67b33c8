-- Reads whole hashes: of endpoints, of buckets. KEYS: 4 ….
local replies = {}
for i = 4, #KEYS do replies[#replies + 1] = redis.call('HGETALL', KEYS[i]) end
return done(replies)
