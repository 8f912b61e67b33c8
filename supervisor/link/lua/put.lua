-- Changes groups of endpoints by the rule of each. KEYS: 4 … e:CID. ARGV: 5 … in sixes: key, CID, group, stamp and how
-- ('n' a report, 'o' an operator's word, 'a' a verdict without a fence), fence (0: none), value. Returns for each
-- whether it was taken, and what is stored now.
local none = {closed = true, out = true, ok = true}
local key, cid
local function store(group, stamp, value)
    redis.call('HSET', key, group, int(stamp) .. ' ' .. value)
    redis.call('PEXPIRE', key, 30 * 86400000)
    tell('g', cid .. ' ' .. group .. ' ' .. int(stamp) .. ' ' .. value)
    return true
end
local function stored(group)
    local stamp, value = group_of(key, group)
    local at = tonumber(stamp or 0)
    -- a stamp ahead of the clock (set back, or another master) counts as now, from now on
    if at > now then
        at = now
        store(group, at, value)
        return at, value, true
    end
    return at, value
end
local function word(value) return value and string.match(value, '^%S*') end
-- Whether something is in force: an open breaker, a queue entry, a refused key.
local function in_force(value) return value and not none[word(value)] end
local function leased(kind)
    local l = redis.call('HGET', key, kind)
    local id, session = string.match(l or '', '^(%S+) (%S+)')
    return id and alive(id, session)
end
local function fenced(kind, fence)
    return fence ~= '0' and redis.call('HGET', key, kind) == host .. ' ' .. conn .. ' ' .. fence
end
local function void_before(stamp)
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        if string.match(all[i], '^[bcxqk]') and stored(all[i]) <= stamp then redis.call('HDEL', key, all[i]) end
    end
end
local function put_operator(group, stamp, value, how)
    if how ~= 'o' then return false end
    local at, _, cut = stored(group)
    -- nobody can have spoken ahead of the clock: an operator's word holds against that
    if stamp <= at and not cut then return false end
    if group == 'z' then void_before(stamp) end
    if group == 'w' and stored('k') > 0 and stored('k') <= stamp then store('k', stamp, 'ok') end
    return store(group, stamp, value)
end
-- Breakers, queue entries, refused keys: what is in force is moved by the holder of a lease or by an operator.
local function put_state(group, stamp, value, how, fence)
    local at, old = stored(group)
    local trial = 't' .. string.sub(group, 2)
    if how == 'o' then return stamp >= at and store(group, stamp, value) end
    if fenced(trial, fence) or fenced('v', fence) then return store(group, stamp, value) end
    if in_force(old) then
        return how == 'a' and group ~= 'k' and stamp > at and not leased(trial) and not leased('v') and
            store(group, stamp, value)
    end
    return in_force(value) and stamp > at and store(group, stamp, value)
end
-- Behind the numbers may stand a sealed name: of a cell, of a mark.
local function put_cooldown(group, stamp, value, how)
    local at, old = stored(group)
    local own, untold, count, name = string.match(value, '^(%d+) (%d+) (%d+)(.*)$')
    if not own then return false end
    if how == 'o' then return stamp >= at and store(group, stamp, value) end
    local o, u, c = string.match(old or '0 0 0', '^(%d+) (%d+) (%d+)')
    local over = old and o == '0' and u == '0'
    if own == '0' and untold == '0' then
        return old and not over and stamp > at and store(group, stamp, value)
    end
    if tonumber(own) <= tonumber(o) and tonumber(untold) <= tonumber(u) then return false end
    -- a success that began after this hit has ended it
    if over and stamp <= at then return false end
    local function later(a, b) return int(math.max(tonumber(a), tonumber(b))) end
    return store(group, math.max(stamp, at),
        later(own, o) .. ' ' .. later(untold, u) .. ' ' .. later(count, c) .. name)
end
-- The later end. A success with it, or an operator, ends it; a refusal of before that does not bring it back.
local function put_mark(group, stamp, value, how)
    local at, old = stored(group)
    local ends, name = string.match(value, '^(%d+)(.*)$')
    local stands = tonumber(string.match(old or '', '^%d+') or '0')
    if not ends then return false end
    if ends == '0' then return stands > 0 and (stamp > at or how == 'o') and store(group, stamp, value) end
    if old and stands == 0 and stamp <= at then return false end
    return tonumber(ends) > stands and store(group, math.max(stamp, at), int(tonumber(ends)) .. name)
end
-- An endpoint has at most so many groups: what is over goes first. Whether there is room for one more.
local function room(group)
    if redis.call('HEXISTS', key, group) == 1 or redis.call('HLEN', key) < 384 then return true end
    local all, freed = redis.call('HGETALL', key), false
    for i = 1, #all, 2 do
        local kind = string.match(all[i], '^([bcx]):')
        local _, value = group_of(key, all[i])
        local a, b = string.match(value or '', '^(%d+) ?(%d*)')
        if (kind == 'b' and not in_force(value)) or
            (kind and kind ~= 'b' and (tonumber(a) or 0) <= now and (kind == 'x' or (tonumber(b) or 0) <= now)) then
            redis.call('HDEL', key, all[i])
            freed = true
        end
    end
    return freed
end
local function release(kind, fence)
    if not fenced(kind, fence) then return false end
    redis.call('HDEL', key, kind)
    tell('f', cid .. ' ' .. kind)
    return true
end
-- What the answer shows: a group, or after its end who has the lease.
local function shown(group)
    if string.sub(group, 1, 1) == '-' then
        return string.match(redis.call('HGET', key, string.sub(group, 2)) or '', '^(%x+) ') or ''
    end
    local stamp, value = group_of(key, group)
    return stamp and stamp .. ' ' .. value or ''
end
local replies = {}
for i = 5, #ARGV, 6 do
    key, cid = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
    owned(key)
    local group, fence, value = ARGV[i + 2], ARGV[i + 4], ARGV[i + 5]
    local stamp, how = string.match(ARGV[i + 3], '^(%d+)(%a)$')
    stamp = math.min(tonumber(stamp or 0), now)
    local kind = string.sub(group, 1, 1)
    local taken
    if kind == '-' then
        taken = release(string.sub(group, 2), fence)
    elseif kind == 'w' or kind == 'z' then
        taken = put_operator(group, stamp, value, how)
    elseif stamp <= stored('z') and kind ~= 's' then
        taken = false
    elseif string.sub(group, 2, 2) == ':' and not room(group) then
        taken = false
    elseif kind == 'k' and stamp <= stored('w') and how ~= 'o' and not fenced('v', fence) then
        taken = false
    elseif kind == 'b' or kind == 'q' or kind == 'k' then
        taken = put_state(group, stamp, value, how, fence)
    elseif kind == 'c' then
        taken = put_cooldown(group, stamp, value, how)
    elseif kind == 'x' then
        taken = put_mark(group, stamp, value, how)
    elseif kind == 's' then
        taken = stamp > stored('s') and store('s', stamp, value)
    end
    replies[#replies + 1] = taken and '1' or '0'
    replies[#replies + 1] = shown(group)
end
return done(replies)
