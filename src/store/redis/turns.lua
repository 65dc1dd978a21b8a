-- A turn of the fleet. KEYS: it. ARGV: who, length in ms, word.
-- take: 1 if nobody has it. keep: 1 if it is theirs; it is made longer, never shorter.
if ARGV[3] == 'take' then
  return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
