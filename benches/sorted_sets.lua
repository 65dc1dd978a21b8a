-- The usual recipe, for comparison: one sorted set for each window, made atomic by a script.
--
-- KEYS  one set for each window, of all policies
-- ARGV  a name for this request, then for each set: length in ms, limit
-- Reply admitted, then for each set: remaining, reset in ms

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local admitted, counts = 1, {}
for i = 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - ARGV[2 * i])
  counts[i] = redis.call('ZCARD', KEYS[i])
  if counts[i] >= tonumber(ARGV[2 * i + 1]) then admitted = 0 end
end
local reply = {admitted}
for i = 1, #KEYS do
  if admitted == 1 then
    redis.call('ZADD', KEYS[i], now, ARGV[1])
    redis.call('PEXPIRE', KEYS[i], ARGV[2 * i])
    counts[i] = counts[i] + 1
  end
  local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  reply[#reply + 1] = math.max(ARGV[2 * i + 1] - counts[i], 0)
  reply[#reply + 1] = oldest[2] and oldest[2] + ARGV[2 * i] - now or 0
end
return reply
