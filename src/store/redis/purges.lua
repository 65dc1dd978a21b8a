-- The ledger of purges: one order of all purges of all instances.
-- KEYS[1]: a hash, `number` the last one given, `floor` before which nothing is known. KEYS[2]: a sorted set, member = text of
-- a purge, score = its number. ARGV: up to which number the caller has read; how long purges are kept in milliseconds; how
-- many are kept; how many are told at once; between two numbers; the channel; texts of new purges.
-- Answers the number to which this answer goes, the floor, then texts and their numbers in order.
local state, log, channel = KEYS[1], KEYS[2], ARGV[6]
local known, life, cap = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local batch, gap = tonumber(ARGV[4]), tonumber(ARGV[5])
local function text(number) return string.format('%.0f', number) end
for i, kind in ipairs({'hash', 'zset'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', KEYS[i]) end
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local number = tonumber(redis.call('HGET', state, 'number') or '') or 0
local floor = tonumber(redis.call('HGET', state, 'floor') or '') or 0
local changed = false
if number == 0 or number < known then
  -- New, or it has lost what was told before: whatever was born until now may have been purged.
  number = math.max(now, known + gap)
  floor = number
  changed = true
end
for i = 7, #ARGV do
  local before = number
  number = math.max(number + gap, now)
  redis.call('ZADD', log, number, ARGV[i])
  redis.call('PUBLISH', channel, 'purge ' .. text(before) .. ' ' .. text(number) .. ' ' .. ARGV[i])
  changed = true
end
-- What is forgotten lifts the floor to the last of it.
local function forget(last)
  if last[2] then
    floor = math.max(floor, tonumber(last[2]))
    redis.call('ZREMRANGEBYSCORE', log, '-inf', last[2])
    changed = true
  end
end
if changed then
  forget(redis.call('ZREVRANGEBYSCORE', log, text(now - life * 1000), '-inf', 'WITHSCORES', 'LIMIT', 0, 1))
  local over = redis.call('ZCARD', log) - cap
  if over > 0 then forget(redis.call('ZRANGE', log, over - 1, over - 1, 'WITHSCORES')) end
  redis.call('HSET', state, 'number', text(number), 'floor', text(floor))
end
-- A key that nobody writes must not expire under entries that are alive.
if changed or redis.call('PTTL', state) < life then
  redis.call('PEXPIRE', state, life + 86400000)
  redis.call('PEXPIRE', log, life + 86400000)
end
local told = redis.call('ZRANGEBYSCORE', log, '(' .. text(known), '+inf', 'WITHSCORES', 'LIMIT', 0, batch)
local reached = number
if #told >= 2 * batch then reached = tonumber(told[#told]) end
local answer = {text(reached), text(floor), #told >= 2 * batch and 1 or 0}
for i = 1, #told, 2 do
  answer[#answer + 1] = told[i]
  answer[#answer + 1] = text(tonumber(told[i + 1]))
end
return answer
