-- Precedes every script: the engine's time, the log, and what of the data is ours: anyone may have written there.
-- KEYS: 1 m, 2 h, 3 l. ARGV: 2 host, 3 conn, 4 lease in ms.
local host, conn, lease = ARGV[2], ARGV[3], tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ahead = now + 30 * 86400000
local function int(n) return string.format('%.0f', n) end
-- Without these nothing can be shared, and what stands there instead may be somebody's.
for i, kind in ipairs({'hash', 'hash', 'stream'}) do
    local is = redis.call('TYPE', KEYS[i]).ok
    if is ~= kind and is ~= 'none' then return {'KIND', KEYS[i]} end
end
-- The number of a text of digits, up to `most`; nil: it is none.
local function number(s, most)
    local n = s and #s <= 15 and string.match(s, '^%d+$') and tonumber(s)
    return n and n <= (most or n) and n or nil
end
local function tell(kind, value)
    local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
    local entry = {'n', n, 'h', host, 'k', kind, 'v', value}
    local id = redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', '2048', '*', unpack(entry))
    if type(id) == 'table' then
        -- its ids are used up: it begins anew, which its readers find
        redis.call('DEL', KEYS[3])
        redis.call('XADD', KEYS[3], '*', unpack(entry))
    end
end
-- A key that is no hash goes, and all hosts are told what was lost with it.
local function owned(key)
    local is = redis.call('TYPE', key).ok
    if is ~= 'hash' and is ~= 'none' then
        redis.call('DEL', key)
        tell('d', string.match(key, '}:1:(.*)$'))
    end
end
-- Of a host as h has it: its conn, and when it has beaten.
local function beat_of(text)
    local c, beat = string.match(text or '', '^(%d+) (%d+)')
    return number(c) and c, number(beat)
end
-- The hosts in twos, the caller first, then those alive: 64 at most; and how many of those alive are others. What is no
-- host goes, and one that is gone for good; its places and leases count no longer than a lease.
local function hosts()
    local all, alive, rest, live = redis.call('HGETALL', KEYS[2]), {}, {}, 0
    for i = 1, #all, 2 do
        local id, text = all[i], all[i + 1]
        local c, beat = beat_of(text)
        if not c or not beat or #text > 256 or not string.match(id, '^' .. string.rep('[0-9a-f]', 16) .. '$') or
            now - beat > 3600000 + lease then
            redis.call('HDEL', KEYS[2], id)
        else
            -- ahead of the clock, which was set back or is another master's: it counts as now, from now on
            if beat > now then
                text = string.gsub(text, '^%d+ %d+', c .. ' ' .. int(now))
                redis.call('HSET', KEYS[2], id, text)
                beat = now
            end
            if id == host then
                table.insert(alive, 1, {id, text})
            else
                table.insert(now - beat < lease and alive or rest, {id, text})
                live = live + (now - beat < lease and 1 or 0)
            end
        end
    end
    local out = {}
    for _, list in ipairs({alive, rest}) do
        for _, h in ipairs(list) do
            if #out < 128 then
                out[#out + 1] = h[1]
                out[#out + 1] = h[2]
            end
        end
    end
    return out, live
end
-- Whether a value is one of that group. What is not counts as none.
local words = {enabled = true, draining = true, disabled = true}
local function valid(group, value)
    local kind = string.sub(group, 1, 1)
    local word, a, b = string.match(value, '^(%S*) ?(%d*) ?(%d*)')
    if #value > 256 then return false end
    if kind == 'w' then return words[value] end
    if kind == 'k' then return value == 'ok' or (word == 'refused' and number(a, 999) and number(b)) end
    if kind == 'b' then
        return word == 'closed' or ((word == 'open' or word == 'half') and number(a, ahead) and number(b, 86400000))
    end
    if kind == 'q' then return word == 'out' or (word == 'in' and number(a, ahead) and number(b, ahead)) end
    if kind == 'c' then return number(word, ahead) and number(a, ahead) and number(b, 1000000) end
    if kind == 'x' then return number(word, ahead) end
    return true
end
-- A group as it is stored: its stamp as text and its value; nothing where there is none.
local function group_of(key, group)
    local v = redis.call('HGET', key, group)
    local stamp, value = string.match(v or '', '^(%d+) (.*)$')
    if number(stamp) and valid(group, value) then return stamp, value end
end
