-- What each instance has counted of its cache. KEYS[1]: a hash, field = instance, value = "MILLISECONDS TEXT".
-- ARGV: the instance, how long a value counts in milliseconds, its text (empty: it leaves), "1" to be told all texts.
local key, me, life, text = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', key) end
if text == '' then
  redis.call('HDEL', key, me)
else
  redis.call('HSET', key, me, string.format('%d', now) .. ' ' .. text)
  redis.call('PEXPIRE', key, 2 * life)
end
local all, alive = redis.call('HGETALL', key), {}
for place = 1, #all, 2 do
  local at, told = string.match(all[place + 1], '^(%d+) (.*)$')
  -- A clock that stepped back leaves values of a future that does not come.
  if at and math.abs(now - tonumber(at)) <= life then
    alive[#alive + 1] = told
  else
    redis.call('HDEL', key, all[place])
  end
end
if ARGV[4] == '1' then return alive end
return {}
