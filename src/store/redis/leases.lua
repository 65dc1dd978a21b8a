-- Leases of flights: one string a key, 32 digits that name the holder, then `!` once somebody waits. Its TTL is the lease.
--
-- KEYS[1]    the lease
-- ARGV[1]    operation: a(cquire), k(eep), r(elease), t(ell)
-- ARGV[2]    acquire, keep, release: the holder's digits
-- acquire    ARGV[3]: length in milliseconds. Reply: 0 when it is the caller's now, otherwise the milliseconds that are left of
--            another's, which is told that somebody waits.
-- keep       ARGV[3]: length in milliseconds. Reply: 1, or 0 when the lease is not the caller's any more.
-- release    ARGV[3]: channel; ARGV[4]: message, published if somebody waits. Reply: as keep.
-- tell       ARGV[2]: channel; ARGV[3]: message. For who went without a lease.

local call, key, operation = redis.call, KEYS[1], ARGV[1]

-- A user that may not publish is no reason not to release: those who wait look when the lease has ended.
if operation == 't' then
  redis.pcall('PUBLISH', ARGV[2], ARGV[3])
  return 1
end

local holder = ARGV[2]
local value = redis.pcall('GET', key)
if type(value) == 'table' then
  -- Not a string: nobody's lease.
  call('DEL', key)
  value = false
end
local is_own = value and string.sub(value, 1, 32) == holder

if operation == 'a' then
  local left = value and call('PTTL', key) or -1
  -- One's own: the answer to an earlier call was lost. Without an end: not written by this script.
  if is_own or left < 0 then
    call('SET', key, is_own and value or holder, 'PX', ARGV[3])
    return 0
  end
  if #value == 32 then call('APPEND', key, '!') end
  return math.max(left, 1)
end
if not is_own then return 0 end
if operation == 'k' then
  call('PEXPIRE', key, ARGV[3])
  return 1
end
call('DEL', key)
if #value > 32 then redis.pcall('PUBLISH', ARGV[3], ARGV[4]) end
return 1
