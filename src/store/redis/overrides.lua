-- Overrides that were set while running: one hash for all instances, and its version.
--
-- KEYS[1]    the hash: `{digest}:policy` -> JSON that begins with {"expires_at":MS, or {"expires_at":null,
-- KEYS[2]    the version, in the same Cluster slot
-- ARGV[1]    operation: l(oad), s(et), r(emove)
-- ARGV[2]    how long the keys live on behind the last end, in milliseconds
-- load       ARGV[3]: the version that is known. Reply: nothing when it is still the one, else version, time in ms, and
--            field and value of each override.
-- set        ARGV[3] field, ARGV[4] milliseconds until its end or '', ARGV[5] its JSON behind `expires_at`,
--            ARGV[6] how many there may be, ARGV[7] channel. Reply: 1, or 0 when there are too many.
-- remove     ARGV[3] field, ARGV[4] channel. Reply: how many there were.

local call = redis.call
local hash, version_key, life = KEYS[1], KEYS[2], tonumber(ARGV[2])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Drops what has ended, and lets both keys live as long as anybody can need them. The end stands at the beginning of a
-- value, where no identity can forge it.
local function tidy()
  local all, last = call('HGETALL', hash), now
  for i = 1, #all, 2 do
    local ends = tonumber(string.match(all[i + 1], '^{"expires_at":(%d+)') or '')
    if ends and ends <= now then
      call('HDEL', hash, all[i])
    elseif ends and ends > last then
      last = ends
    end
  end
  local lives = last - now + life
  call('PEXPIRE', hash, lives)
  call('PEXPIRE', version_key, lives)
end

-- The time in microseconds, later than the version before: a Redis that restarted empty never repeats one.
local function changed(channel)
  local version = time[1] * 1000000 + time[2]
  local known = tonumber(call('GET', version_key) or '') or 0
  if version <= known then version = known + 1 end
  call('SET', version_key, string.format('%.0f', version))
  tidy()
  call('PUBLISH', channel, 'overrides')
end

local operation = ARGV[1]
if operation == 'l' then
  local version = call('GET', version_key) or ''
  -- A day is plenty for the next look: the keys of instances that run never end.
  local left = call('PTTL', hash)
  if left == -1 or (left >= 0 and left < life - 86400000) then tidy() end
  if version == ARGV[3] then return {} end
  local reply, all = { version, string.format('%.0f', now) }, call('HGETALL', hash)
  for i = 1, #all do reply[i + 2] = all[i] end
  return reply
end
if operation == 's' then
  local ends = 'null'
  if ARGV[4] ~= '' then ends = string.format('%.0f', now + tonumber(ARGV[4])) end
  if call('HEXISTS', hash, ARGV[3]) == 0 and call('HLEN', hash) >= tonumber(ARGV[6]) then
    tidy()
    if call('HLEN', hash) >= tonumber(ARGV[6]) then return 0 end
  end
  call('HSET', hash, ARGV[3], '{"expires_at":' .. ends .. ARGV[5])
  changed(ARGV[7])
  return 1
end
local removed = call('HDEL', hash, ARGV[3])
if removed > 0 then changed(ARGV[4]) end
return removed
