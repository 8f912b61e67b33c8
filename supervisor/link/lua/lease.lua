-- Lends a trial or a verification to one host. KEYS: 4 e:CID. ARGV: 5 CID, 6 kind (t, t:H, v), 7 group (b, b:H, q, k)
-- with 8 its stamp, 9 '1': even if it is not due, as the last resort.
local key, cid, kind, group, stamp, last = KEYS[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
owned(key)
local at, value = group_of(key, group)
local function moved() return done('moved', at and at .. ' ' .. value or '') end
if at ~= stamp then return moved() end
local due = 0
if string.sub(group, 1, 1) == 'b' then
    local state, since, open = string.match(value, '^(%S+) ?(%d*) ?(%d*)')
    if state == 'closed' then return moved() end
    if state == 'open' then due = tonumber(since) + tonumber(open) end
    if kind == 'v' and last ~= '1' then due = math.max(due, tonumber(since)) + 10000 end
elseif group == 'q' then
    local state, _, next = string.match(value, '^(%S+) ?(%d*) ?(%d*)')
    if state ~= 'in' then return moved() end
    due = tonumber(next)
end
-- asked for from the offset of the clocks, which may be some ms off
if last ~= '1' and due > now + 50 then return done('early', int(due)) end
for _, k in ipairs({'v', kind}) do
    local id, session = string.match(redis.call('HGET', key, k) or '', '^(%S+) (%S+)')
    -- a host does not ask for what it has, unless it does not know of it
    if id and alive(id, session) and not (id == host and k == kind) then return done('busy', id) end
end
local f = redis.call('HGET', key, 'f')
-- above all that were given out
if f and not number(f) then redis.call('HSET', key, 'f', int(now)) end
local fence = redis.call('HINCRBY', key, 'f', 1)
redis.call('HSET', key, kind, host .. ' ' .. conn .. ' ' .. fence)
redis.call('PEXPIRE', key, 30 * 86400000)
tell('l', cid .. ' ' .. kind .. ' ' .. host)
return done('granted', tostring(fence))
