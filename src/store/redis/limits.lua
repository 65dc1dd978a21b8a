-- Exact sliding windows in Redis: one string per log, all charges of a request decided in one call.
--
-- KEYS       the logs, no two alike
-- ARGV[1]    '' : Redis TIME is the only clock. (Milliseconds instead of it only in tests of the arithmetic.)
-- ARGV[2]    operation: c(onsume, all or nothing), f(orce), r(efund)
-- ARGV[2+k]  the charge on KEYS[k], packed: f64 stamp to refund, u32 cost, u32 signature of the window lengths (not 0),
--            u8 enforced, u8 windows; then for each window, shortest first: u32 length in ms, u32 limit
-- Reply      packed, for each charge: u32 admitted, u32 wait in ms (2^32-1: never), f64 stamp in ms; then for each
--            window: u32 remaining, u32 reset in ms
--
-- A log is an 80-byte head and a ring of u32 stamps, milliseconds after `base`:
--   f64 base | u32 capacity | u32 head (units ever appended) | u32 expiry | u32 newest | u32 signature | u32 lowest
--   (oldest unit not overwritten) | for each of up to 6 windows: u32 tail (oldest unit counted), u32 its stamp
-- Unit number u stands in slot u % capacity, at byte 80 + 4 * (u % capacity). Tails only move forwards, so a steady
-- decision reads the head and one slot a window; a denial writes nothing. The rules are those of `limit/ring.rs`; change both or neither. Numbers stand where
-- they are used: a named constant is one more upvalue for each function, made anew on each call (measured: 0.4 us).

local decode, encode = struct.unpack, struct.pack
local call, floor, rep, concat, sub = redis.call, math.floor, string.rep, table.concat, string.sub

local now
if ARGV[1] == '' then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
else
  now = tonumber(ARGV[1])
end
local operation = ARGV[2]

local function read_unit(key, capacity, unit)
  local at = 80 + 4 * (unit % capacity)
  return decode('<I4', call('GETRANGE', key, at, at + 3))
end

local function read_units(key, capacity, unit, count)
  local from = 80 + 4 * (unit % capacity)
  local behind, wall = from + 4 * count, 80 + 4 * capacity
  if behind <= wall then return call('GETRANGE', key, from, behind - 1) end
  return call('GETRANGE', key, from, wall - 1) .. call('GETRANGE', key, 80, 80 + behind - wall - 1)
end

local function write_units(key, capacity, unit, stamps)
  local from = 80 + 4 * (unit % capacity)
  local room = 80 + 4 * capacity - from
  if #stamps <= room then call('SETRANGE', key, from, stamps) return end
  call('SETRANGE', key, from, sub(stamps, 1, room))
  call('SETRANGE', key, 80, sub(stamps, room + 1))
end

-- The first unit after `out` that is stamped later than `edge`, and its stamp; `head` and 0 when there is none. `out`
-- itself is not looked at. Gallops, then bisects.
local function first_later(key, capacity, out, head, edge)
  local found, stamp, step = head, 0, 1
  while out + step < head do
    local probe = out + step
    local at = read_unit(key, capacity, probe)
    if at > edge then found, stamp = probe, at break end
    out, step = probe, step * 2
  end
  while found - out > 1 do
    local probe = floor((out + found) / 2)
    local at = read_unit(key, capacity, probe)
    if at > edge then found, stamp = probe, at else out = probe end
  end
  return found, stamp
end

-- The log under `key`; an empty one when there is nothing. Raises an error at what is not a log: see the end.
local function load(key, signature, windows)
  local raw = call('GETRANGE', key, 0, 79)
  local tail, first = {}, {}
  if #raw < 80 then
    for i = 1, windows do tail[i] = 0; first[i] = 0 end
    return now, 0, 0, 0, 0, 0, tail, first
  end
  local base, capacity, head, expiry, newest, stored, lowest = decode('<dI4I4I4I4I4I4', raw)
  if not (base > 0 and base < 1e15) or lowest > head or head - lowest > capacity then error('not a log') end
  if stored == signature then
    for i = 1, windows do
      local unit, stamp = decode('<I4I4', raw, 25 + 8 * i)
      if unit < lowest or unit > head then error('not a log') end
      tail[i] = unit; first[i] = stamp
    end
  else
    -- Other windows, or a refund: whatever is still there may count.
    local stamp = lowest < head and read_unit(key, capacity, lowest) or 0
    for i = 1, windows do tail[i], first[i] = lowest, stamp end
  end
  return base, capacity, head, expiry, newest, lowest, tail, first
end

-- Rewrites the log from unit `from` on: a capacity that fits, small numbers, small offsets.
local function rewrite(key, base, at, capacity, from, head, cost, largest, first_stamp)
  local live, stamps, shift = head - from, '', at
  if live > 0 then
    stamps, shift = read_units(key, capacity, from, live), 0
    if at > 4000000000 then
      shift = first_stamp
      local moved = {}
      for u = 1, live do moved[u] = encode('<I4', decode('<I4', stamps, 4 * u - 3) - shift) end
      stamps = concat(moved)
    end
  end
  local needed = live + cost
  if needed > capacity then
    capacity = math.max(math.min(capacity * 2, largest), 8, needed)
  elseif capacity > 64 and needed * 4 < capacity then
    capacity = math.max(needed * 2, 8)
  end
  call('SET', key, rep('\0', 80) .. stamps .. rep('\0', 4 * (capacity - live)))
  return shift, capacity, live
end

local replies = {}

-- Decides charge `k` and all after it: judged on the way in, consumed on the way out, when it is known whether any of
-- them denies. `denied`: one before does. State stays in locals: tables cost a third more time.
local function settle(k, denied)
  local key, ask = KEYS[k], ARGV[2 + k]
  if not key then return denied end
  local _, cost, signature, enforced, windows = decode('<dI4I4BB', ask)
  if operation == 'r' then cost = 0 end
  local base, capacity, head, expiry, newest, lowest, tail, first = load(key, signature, windows)
  local at = now - base
  if at < newest then at = newest end

  local admitted, wait, longest, largest = true, 0, 0, 0
  for i = 1, windows do
    local length, limit = decode('<I4I4', ask, 11 + 8 * i)
    local edge = at - length
    if tail[i] < head and first[i] <= edge then
      if newest <= edge then tail[i] = head; first[i] = 0
      else tail[i], first[i] = first_later(key, capacity, tail[i], head, edge) end
    end
    local excess = head - tail[i] + cost - limit
    if excess > 0 then
      admitted = false
      if cost > limit then wait = 4294967295 else
        local leaver = first[i]
        if excess > 1 then leaver = read_unit(key, capacity, tail[i] + excess - 1) end
        if leaver + length - at > wait then wait = leaver + length - at end
      end
    end
    longest = length
    if limit > largest then largest = limit end
  end

  if operation == 'c' then
    denied = settle(k + 1, denied or not admitted and enforced == 1)
  else
    settle(k + 1, false)
    if operation == 'f' then
      admitted, wait = true, 0
      cost = math.min(cost, math.max(1000000 - (head - tail[windows]), 0))
    end
  end

  if cost > 0 and admitted and not denied then
    local needed = head - tail[windows] + cost
    if needed > capacity or capacity > 64 and needed * 4 < capacity
      or at > 4000000000 or head > 2000000000 then
      local from, shift = tail[windows], nil
      shift, capacity, head = rewrite(key, base, at, capacity, from, head, cost, largest, first[windows])
      base, at, expiry, lowest = base + shift, at - shift, 0, 0
      for i = 1, windows do tail[i], first[i] = tail[i] - from, first[i] - shift end
    end
    write_units(key, capacity, head, rep(encode('<I4', at), cost))
    if at + longest > expiry then
      -- An eighth more than needed, so that this is called eight times a window and not on each admission.
      local life = longest + floor(longest / 8) + 1
      call('PEXPIRE', key, life)
      expiry = math.min(at + life, 4294967295)
    end
    local parts = {''}
    for i = 1, windows do
      if tail[i] == head then first[i] = at end
      parts[i + 1] = encode('<I4I4', tail[i], first[i])
    end
    head = head + cost
    if head - capacity > lowest then lowest = head - capacity end
    parts[1] = encode('<dI4I4I4I4I4I4', base, capacity, head, expiry, at, signature, lowest)
    call('SETRANGE', key, 0, concat(parts))
  end

  local reply = {encode('<I4I4d', admitted and 1 or 0, wait, base + at)}
  for i = 1, windows do
    local length, limit = decode('<I4I4', ask, 11 + 8 * i)
    local counted = head - tail[i]
    reply[i + 1] = encode('<I4I4', counted < limit and limit - counted or 0,
      counted > 0 and first[i] + length - at or 0)
  end
  replies[k] = concat(reply)
  return denied
end

local run = settle
if operation == 'r' then
  -- Takes back up to `cost` units stamped `stamp`; younger ones move down into their place. Time does not run back, so
  -- `newest` stays. Signature 0: the next decision finds the tails anew.
  local function refund(key, ask)
    local stamp, cost = decode('<dI4', ask)
    local base, capacity, head, expiry, newest, lowest = load(key, 0, 0)
    local wanted = stamp - base
    local behind = first_later(key, capacity, lowest - 1, head, wanted)
    local from = first_later(key, capacity, lowest - 1, behind, wanted - 1)
    local given = math.min(cost, behind - from)
    if given <= 0 then return end
    if behind < head then
      write_units(key, capacity, behind - given, read_units(key, capacity, behind, head - behind))
    end
    call('SETRANGE', key, 0, encode('<dI4I4I4I4I4I4', base, capacity, head - given, expiry, newest, 0, lowest))
  end
  run = function()
    for k = 1, #KEYS do refund(KEYS[k], ARGV[2 + k]) end
    settle(1, false)
  end
end

-- What is under a key and is no log (another type, cut off, overwritten) is dropped and counted as empty: refusing to
-- count would open the limit. Any other error goes to the caller.
if not pcall(run, 1, false) then
  local function is_damaged(key, ask)
    local bytes = redis.pcall('STRLEN', key)
    if type(bytes) ~= 'number' then return true end
    if bytes < 80 then return bytes > 0 end
    local _, capacity = decode('<dI4', call('GETRANGE', key, 0, 11))
    local _, _, signature, _, windows = decode('<dI4I4BB', ask)
    return bytes ~= 80 + 4 * capacity or not pcall(load, key, signature, windows)
  end
  for k = 1, #KEYS do
    if is_damaged(KEYS[k], ARGV[2 + k]) then call('DEL', KEYS[k]) end
  end
  run(1, false)
end
if #replies == 1 then return replies[1] end
return concat(replies)
