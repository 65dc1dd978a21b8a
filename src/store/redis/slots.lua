-- Places of requests under way: for each identity under a policy a sorted set of leases, whose scores are their ends in
-- milliseconds of Redis TIME.
--
-- KEYS       the sets, all in one Cluster slot
-- ARGV[1]    operation: a(cquire, all or none), g(ive back), r(enew)
-- ARGV[2]    length of a lease in milliseconds
-- acquire    for each set: the lease's id, how many places there are, 1 if enforced, n, and n ids of leases that are to be
--            given back before. Reply: for each set the places that are left, -1 where there was none.
-- give back  ARGV[2+k] for KEYS[k]: the lease's id. Reply: how many there were.
-- renew      ARGV[3...]: ids of leases in KEYS[1], at least one. Reply: how many have another end now.

local call = redis.call
local operation, lease = ARGV[1], tonumber(ARGV[2])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Drops what has ended. What is under the key and is no set of leases goes too: refusing to count would open the limit.
local function drop_ended(key)
  local dropped = redis.pcall('ZREMRANGEBYSCORE', key, '-inf', now)
  if type(dropped) == 'table' and dropped.err then
    if call('TYPE', key).ok == 'zset' then error(dropped.err) end
    call('DEL', key)
  end
end

local function acquire()
  local replies, ids, at = {}, {}, 3
  for k = 1, #KEYS do
    local key, limit, enforced, leaving = KEYS[k], tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
    ids[k] = ARGV[at]
    drop_ended(key)
    for i = at + 4, at + 3 + leaving do call('ZREM', key, ARGV[i]) end
    at = at + 4 + leaving
    local left = limit - call('ZCARD', key)
    if left > 0 then
      call('ZADD', key, now + lease, ids[k])
      call('PEXPIRE', key, lease)
      replies[k] = left - 1
    else
      replies[k] = -1
      if enforced == '1' then
        for before = 1, k - 1 do
          if replies[before] >= 0 then call('ZREM', KEYS[before], ids[before]) end
        end
        for after = k + 1, #KEYS do replies[after] = 0 end
        return replies
      end
    end
  end
  return replies
end

if operation == 'a' then return acquire() end
local found = 0
if operation == 'g' then
  for k = 1, #KEYS do found = found + call('ZREM', KEYS[k], ARGV[2 + k]) end
  return found
end
drop_ended(KEYS[1])
local ends = {}
for i = 3, #ARGV do
  ends[#ends + 1] = now + lease
  ends[#ends + 1] = ARGV[i]
end
-- Only what is still there: a lease that was given back meanwhile must not come to life again. One call for all: one for
-- each took four times as long.
found = call('ZADD', KEYS[1], 'XX', 'CH', unpack(ends))
call('PEXPIRE', KEYS[1], lease)
return found
