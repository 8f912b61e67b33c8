-- Precedes every script but join: who calls, whether the data and the session are still those that it joined, the
-- engine's time, the log.
-- KEYS: 1 m, 2 h, 3 l. ARGV: 1 epoch, 2 host, 3 conn, 4 lease in ms. Further ones begin at 4 and 5.
local host, conn, lease = ARGV[2], ARGV[3], tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(n) return string.format('%.0f', n) end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then return {'EPOCH', epoch or ''} end
local own = redis.call('HGET', KEYS[2], host)
if not own or string.match(own, '^%d+') ~= conn then
    return {'STALE', own and string.match(own, '^%d+') or '0'}
end
-- Whether that host has beaten within the lease, in that session.
local function alive(id, session)
    local h = redis.call('HGET', KEYS[2], id)
    if not h then return false end
    local c, beat = string.match(h, '^(%d+) (%d+)')
    return c == session and now - tonumber(beat) < lease
end
local function tell(kind, value)
    local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', '2048', '*', 'n', n, 'h', host, 'k', kind, 'v', value)
end
-- The reply: it carries the number of the log that it belongs to, and the time.
local function done(...) return {'OK', redis.call('HGET', KEYS[1], 'n') or '0', int(now), ...} end
