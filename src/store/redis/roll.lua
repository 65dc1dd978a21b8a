-- The roll of instances. KEYS[1]: a sorted set, member = instance, score = its last beat in milliseconds.
-- ARGV: the instance, how long a beat counts in milliseconds, "here" or "gone". Answers how many are alive.
local key, me, life, word = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kind = redis.call('TYPE', key).ok
if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', key) end
if word == 'gone' then
  redis.call('ZREM', key, me)
else
  redis.call('ZADD', key, now, me)
  redis.call('PEXPIRE', key, 2 * life)
end
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - life)
-- A clock that stepped back leaves beats of a future that does not come.
redis.call('ZREMRANGEBYSCORE', key, '(' .. (now + life), '+inf')
return redis.call('ZCARD', key)
