-- Precedes every script but join: who calls, and whether the data and the session are still those that it joined.
-- KEYS: as in ours.lua. ARGV: 1 epoch, and as in ours.lua. Further ones begin at 4 and 5.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'n')
if m[1] ~= ARGV[1] or not number(m[2]) then return {'EPOCH', m[1] or ''} end
local own = redis.call('HGET', KEYS[2], host)
if not own or string.match(own, '^%d+') ~= conn then
    return {'STALE', own and beat_of(own) or '0'}
end
-- Whether that host has beaten within the lease, in that session.
local function alive(id, session)
    local c, beat = beat_of(redis.call('HGET', KEYS[2], id))
    return c and beat and c == session and now - beat < lease
end
-- The reply: it carries the number of the log that it belongs to, and the time.
local function done(...) return {'OK', redis.call('HGET', KEYS[1], 'n') or '0', int(now), ...} end
