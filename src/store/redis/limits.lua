-- Exact sliding windows in Redis: one string per log, every charge of a request decided in one call.
--
-- KEYS     the logs
-- ARGV[1]  clock in milliseconds; '' in production, where Redis TIME is the only clock
-- ARGV[2]  operation: c(onsume if all enforced pass), f(orce), r(efund)
-- ARGV[3]  packed, for each key: u32 cost, u8 enforced, u8 windows, u32 signature of the window lengths,
--          f64 stamp to refund, then for each window u32 length in ms and u32 limit
-- Reply    packed, for each key: u32 admitted, u32 wait in ms (2^32-1: never), f64 stamp in ms, then for each
--          window u32 remaining and u32 reset in ms
--
-- A log is an 80-byte head and a ring of u32 milliseconds after `base`:
--   f64 base | u32 capacity | u32 head (units ever appended since base) | u32 expiry offset | u32 newest stamp
--   | u32 signature | u32 lowest intact unit | for each of 6 windows: u32 tail (oldest unit counted), u32 its stamp
-- A decision reads the head, and one ring slot for each unit that left a window since the last one; a denial writes
-- nothing. Whatever is under the key and is not such a log is treated as empty.

local unpack_, pack_ = struct.unpack, struct.pack
local call, floor, rep, concat = redis.call, math.floor, string.rep, table.concat
local HEAD, NEVER = 80, 4294967295
local REBASE_MS, REBASE_UNITS = 2000000000, 2000000000

local now
if ARGV[1] == '' then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
else
  now = tonumber(ARGV[1])
end

local function slot(log, unit) return HEAD + 4 * (unit % log.capacity) end

local function stamp(log, unit)
  local at = slot(log, unit)
  return unpack_('<I4', call('GETRANGE', log.key, at, at + 3))
end

local function fresh(key, windows)
  local log = {key = key, base = now, capacity = 0, head = 0, expiry = 0, newest = 0, lowest = 0, tail = {}, first = {}}
  for i = 1, windows do log.tail[i] = 0; log.first[i] = 0 end
  return log
end

-- The log under `key`, or an empty one. A foreign type or a damaged value is overwritten by the next admission:
-- refusing to count would open the limit.
local function load(key, charge)
  local head = redis.pcall('GETRANGE', key, 0, HEAD - 1)
  if type(head) ~= 'string' then call('DEL', key); return fresh(key, charge.windows) end
  if #head < HEAD then return fresh(key, charge.windows) end
  local log = {key = key, tail = {}, first = {}}
  local signature
  log.base, log.capacity, log.head, log.expiry, log.newest, signature, log.lowest = unpack_('<dI4I4I4I4I4I4', head)
  if log.capacity == 0 or log.lowest > log.head or log.head - log.lowest > log.capacity
    or call('STRLEN', key) ~= HEAD + 4 * log.capacity or not (log.base > 0 and log.base < 1e15) then
    return fresh(key, charge.windows)
  end
  if signature == charge.signature then
    local at = 33
    for i = 1, charge.windows do
      log.tail[i], log.first[i] = unpack_('<I4I4', head, at)
      at = at + 8
      if log.tail[i] < log.lowest or log.tail[i] > log.head then return fresh(key, charge.windows) end
    end
  else
    -- The windows were changed: start from the oldest unit that is still there.
    local first = 0
    if log.lowest < log.head then first = stamp(log, log.lowest) end
    for i = 1, charge.windows do log.tail[i] = log.lowest; log.first[i] = first end
  end
  return log
end

-- Moves the tail of window `i` past every unit stamped at or before `edge`: gallop, then bisect.
local function advance(log, i, edge)
  local tail = log.tail[i]
  if tail >= log.head or log.first[i] > edge then return end
  if log.newest <= edge then log.tail[i] = log.head; log.first[i] = 0; return end
  local out, counted, counted_stamp, step = tail, log.head - 1, log.newest, 1
  while out + step < log.head - 1 do
    local unit = out + step
    local at = stamp(log, unit)
    if at > edge then counted = unit; counted_stamp = at; break end
    out = unit
    step = step * 2
  end
  while counted - out > 1 do
    local unit = floor((out + counted) / 2)
    local at = stamp(log, unit)
    if at > edge then counted = unit; counted_stamp = at else out = unit end
  end
  log.tail[i] = counted
  log.first[i] = counted_stamp
end

-- The verdict on one charge. Nothing is written.
local function judge(log, charge)
  local at = now - log.base
  if at < log.newest then at = log.newest end
  log.at = at
  local admitted, wait = 1, 0
  for i = 1, charge.windows do
    local length, limit = charge.length[i], charge.limit[i]
    advance(log, i, at - length)
    local counted = log.head - log.tail[i]
    if counted + charge.cost > limit then
      admitted = 0
      if charge.cost > limit then
        wait = NEVER
      elseif counted > 0 then
        local must_leave = counted + charge.cost - limit
        local last = log.first[i]
        if must_leave > 1 then last = stamp(log, log.tail[i] + must_leave - 1) end
        local of_window = last + length - at
        if of_window > wait then wait = of_window end
      end
    end
  end
  log.admitted, log.wait = admitted, wait
end

-- Rewrites the log with room for `cost` more units, and with small offsets again when they have grown.
local function grow(log, charge)
  local longest = charge.longest
  local from = log.tail[longest]
  local live = log.head - from
  local capacity = log.capacity * 2
  if capacity > charge.largest then capacity = charge.largest end
  if capacity < 8 then capacity = 8 end
  if capacity < live + charge.cost then capacity = live + charge.cost end
  local units = ''
  if live > 0 then
    local first = from % log.capacity
    if first + live <= log.capacity then
      units = call('GETRANGE', log.key, HEAD + 4 * first, HEAD + 4 * (first + live) - 1)
    else
      units = call('GETRANGE', log.key, HEAD + 4 * first, HEAD + 4 * log.capacity - 1)
        .. call('GETRANGE', log.key, HEAD, HEAD + 4 * (first + live - log.capacity) - 1)
    end
    if log.at > REBASE_MS then
      local shift = log.first[longest]
      local moved = {}
      for unit = 1, live do moved[unit] = pack_('<I4', unpack_('<I4', units, 4 * unit - 3) - shift) end
      units = concat(moved)
      log.base = log.base + shift
      log.at = log.at - shift
      log.newest = log.newest - shift
      for i = 1, charge.windows do
        if log.tail[i] < log.head then log.first[i] = log.first[i] - shift end
      end
    end
  else
    log.base = log.base + log.at
    log.newest = 0
    log.at = 0
  end
  for i = 1, charge.windows do log.tail[i] = log.tail[i] - from end
  log.head, log.capacity, log.expiry, log.lowest = live, capacity, 0, 0
  call('SET', log.key, rep('\0', HEAD) .. units .. rep('\0', 4 * (capacity - live)))
end

local function write_head(log, charge)
  local parts = {pack_('<dI4I4I4I4I4I4', log.base, log.capacity, log.head, log.expiry, log.newest,
    charge.signature, log.lowest)}
  for i = 1, charge.windows do parts[i + 1] = pack_('<I4I4', log.tail[i], log.first[i]) end
  call('SETRANGE', log.key, 0, concat(parts))
end

local function consume(log, charge)
  local cost = charge.cost
  if cost == 0 then return end
  if log.head - log.tail[charge.longest] + cost > log.capacity or log.at > REBASE_MS * 2
    or log.head > REBASE_UNITS then
    grow(log, charge)
  end
  local unit = pack_('<I4', log.at)
  local first = log.head % log.capacity
  if first + cost <= log.capacity then
    call('SETRANGE', log.key, HEAD + 4 * first, rep(unit, cost))
  else
    call('SETRANGE', log.key, HEAD + 4 * first, rep(unit, log.capacity - first))
    call('SETRANGE', log.key, HEAD, rep(unit, first + cost - log.capacity))
  end
  for i = 1, charge.windows do
    if log.tail[i] == log.head then log.first[i] = log.at end
  end
  log.head = log.head + cost
  log.newest = log.at
  if log.head - log.capacity > log.lowest then log.lowest = log.head - log.capacity end
  local longest = charge.length[charge.longest]
  if log.at + longest > log.expiry then
    local life = longest + floor(longest / 8) + 1
    call('PEXPIRE', log.key, life)
    log.expiry = math.min(log.at + life, NEVER)
  end
  write_head(log, charge)
end

-- Takes back up to `cost` units stamped `charge.stamp`; younger ones move down into their place.
local function refund(log, charge)
  if log.head == 0 then return end
  local wanted = charge.stamp - log.base
  local unit, left, younger = log.head - 1, charge.cost, {}
  while unit >= log.lowest and left > 0 do
    local at = stamp(log, unit)
    if at < wanted then break end
    if at == wanted then left = left - 1 else younger[#younger + 1] = at end
    unit = unit - 1
  end
  local removed = charge.cost - left
  if removed == 0 then return end
  local first = unit + 1
  for i = #younger, 1, -1 do
    call('SETRANGE', log.key, slot(log, first), pack_('<I4', younger[i]))
    first = first + 1
  end
  log.head = log.head - removed
  log.newest = 0
  if log.head > log.lowest then log.newest = stamp(log, log.head - 1) end
  for i = 1, charge.windows do
    if log.tail[i] >= unit + 1 + removed then log.tail[i] = log.tail[i] - removed
    elseif log.tail[i] > unit + 1 then log.tail[i] = unit + 1 end
    log.first[i] = 0
    if log.tail[i] < log.head then log.first[i] = stamp(log, log.tail[i]) end
  end
  write_head(log, charge)
end

local function read_charges()
  local packed, at, charges = ARGV[3], 1, {}
  for k = 1, #KEYS do
    local charge = {length = {}, limit = {}, longest = 1, largest = 0}
    charge.cost, charge.enforced, charge.windows, charge.signature, charge.stamp, at = unpack_('<I4BBI4d', packed, at)
    for i = 1, charge.windows do
      charge.length[i], charge.limit[i], at = unpack_('<I4I4', packed, at)
      if charge.length[i] > charge.length[charge.longest] then charge.longest = i end
      if charge.limit[i] > charge.largest then charge.largest = charge.limit[i] end
    end
    charges[k] = charge
  end
  return charges
end

local function report(log, charge, out)
  out[#out + 1] = pack_('<I4I4d', log.admitted, log.wait, log.base + log.at)
  for i = 1, charge.windows do
    local counted, limit = log.head - log.tail[i], charge.limit[i]
    local remaining, reset = 0, 0
    if counted < limit then remaining = limit - counted end
    if counted > 0 then reset = log.first[i] + charge.length[i] - log.at end
    out[#out + 1] = pack_('<I4I4', remaining, reset)
  end
end

local charges, logs, denied = read_charges(), {}, false
for k = 1, #KEYS do
  local charge = charges[k]
  local log = load(KEYS[k], charge)
  if ARGV[2] == 'r' then refund(log, charge); charge.cost = 0 end
  judge(log, charge)
  if ARGV[2] == 'f' then log.admitted, log.wait = 1, 0 end
  if log.admitted == 0 and charge.enforced == 1 then denied = true end
  logs[k] = log
end
local out = {}
for k = 1, #KEYS do
  if not denied and logs[k].admitted == 1 then consume(logs[k], charges[k]) end
  report(logs[k], charges[k], out)
end
return concat(out)
