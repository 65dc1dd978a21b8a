-- Exact sliding windows in Redis: one string per log, all charges of a request decided in one call.
--
-- KEYS       the logs, no two alike
-- ARGV[1]    '' : Redis TIME is the only clock. (Milliseconds instead of it only in tests of the arithmetic.)
-- ARGV[2]    operation: c(onsume, all or nothing), f(orce), r(efund), d(elete)
-- ARGV[2+k]  the charge on KEYS[k], see below
-- For r and d only, with n keys: ARGV[3+n] the channel on which others are told, ARGV[3+n+k] the word for KEYS[k]
--
-- Charge, log and answer are packed in one shape: an f64, six u32, and two u32 for each of 1 to 6 windows, shortest first.
--   charge  stamp of the units to refund (-1: the newest) | cost, signature of the window lengths (not 0), flags
--           (1 enforced, 2 never consumed), largest limit, 0, 0 | length in ms, limit
--   log     base in ms | capacity, head (units ever appended), expiry, newest, signature, lowest (oldest unit not
--           overwritten) | tail (oldest unit counted), its stamp
--   answer  stamp in ms | admitted, wait in ms (2^32-1: never), units consumed or given back, 0, 0, 0 | remaining, reset
--           in ms
-- The answers to all charges stand one behind the other; d answers nothing.
--
-- A log's head takes 80 bytes; behind it is a ring of u32 stamps, milliseconds after `base`. Unit number u stands in slot
-- u % capacity, at byte 80 + 4 * (u % capacity). Tails only move forwards, so a steady decision reads the head and one
-- slot a window; a denial writes nothing. The rules are those of `limit/ring.rs`; change both or neither.
--
-- What costs time here, as measured: a function made 0.1 us, a number handed to a command 0.3 us (as text nothing), a
-- command 0.5 us and more, TIME 0.9 us. So the common path makes no function, says fixed offsets as text, and moves each
-- packed thing from and into a table at once.

local call, decode, encode = redis.call, struct.unpack, struct.pack
local KEYS, ARGV = KEYS, ARGV
local operation, count = ARGV[2], #KEYS
local given

if operation == 'r' or operation == 'd' then
  -- Rare: functions may be made here.
  local function read_units(key, capacity, unit, units)
    local from = 80 + 4 * (unit % capacity)
    local behind, wall = from + 4 * units, 80 + 4 * capacity
    if behind <= wall then return call('GETRANGE', key, from, behind - 1) end
    return call('GETRANGE', key, from, wall - 1) .. call('GETRANGE', key, 80, 79 + behind - wall)
  end
  -- The first unit from `out` on that is stamped later than `edge`; `head` when there is none.
  local function first_later(key, capacity, out, head, edge)
    while out < head do
      local probe = math.floor((out + head) / 2)
      if decode('<I4', read_units(key, capacity, probe, 1)) > edge then head = probe else out = probe + 1 end
    end
    return out
  end
  -- Where the units lie that are to leave, how many, and the log's fields. An error when it is no log.
  local function find(key, stamp, cost)
    local raw = call('GETRANGE', key, '0', '79')
    if raw == '' then return 0, 0 end
    local log = {decode('<dI4I4I4I4I4I4', raw)}
    local capacity, head, lowest = log[2], log[3], log[7]
    if lowest > head or head - lowest > capacity then error('not a log') end
    local behind, from = head, lowest
    if stamp >= 0 then
      behind = first_later(key, capacity, lowest, head, stamp - log[1])
      from = first_later(key, capacity, lowest, behind, stamp - log[1] - 1)
    end
    return behind, math.min(cost, behind - from), log
  end
  -- Younger units move down into the place of those that leave. Time does not run back, so `newest` stays. Signature 0:
  -- the next decision finds the tails anew.
  local function refund(key, ask)
    local stamp, cost = decode('<dI4', ask)
    -- What is no log has nothing to give back; the decision below replaces it.
    local is_log, behind, units, log = pcall(find, key, stamp, cost)
    if not is_log or units == 0 then return 0 end
    local capacity, head = log[2], log[3]
    if behind < head then
      local younger = read_units(key, capacity, behind, head - behind)
      if #younger < 4 * (head - behind) then return 0 end
      local first = (behind - units) % capacity
      local room = 4 * (capacity - first)
      call('SETRANGE', key, 80 + 4 * first, string.sub(younger, 1, room))
      if #younger > room then call('SETRANGE', key, 80, string.sub(younger, room + 1)) end
    end
    log[3], log[6] = head - units, 0
    call('SETRANGE', key, '0', encode('<dI4I4I4I4I4I4', unpack(log)))
    return units
  end
  given = {}
  for k = 1, count do
    if operation == 'd' then call('DEL', KEYS[k]) else given[k] = refund(KEYS[k], ARGV[2 + k]) end
    -- A user that may not publish is no reason not to give back: the others learn it when their memory runs out.
    if given[k] ~= 0 then redis.pcall('PUBLISH', ARGV[3 + count], ARGV[3 + count + k]) end
  end
  if operation == 'd' then return '' end
end

local now
if ARGV[1] == '' then
  local time = call('TIME')
  now = time[1] * 1000 + time[2] / 1000
  now = now - now % 1
else
  now = tonumber(ARGV[1])
end

-- Every charge is judged before any is consumed. From here on `ask` turns into the answer, field by field.
local denied = false
for k = 1, count do
  local key, ask = KEYS[k], ARGV[2 + k]
  local bytes = #ask
  local shape, last = string.sub('<dI4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4', 1, bytes / 2 - 2), bytes / 4 - 2
  ask = {decode(shape, ask)}
  local cost, flags = ask[2], ask[4]
  if given then cost = 0 end
  local raw = redis.pcall('GETRANGE', key, '0', '79')
  local log, at, admitted, wait, is_log
  -- Runs once; twice at what is under the key and is no log (another type, cut off, overwritten). That is dropped and
  -- counted as empty: refusing to count would open the limit.
  repeat
    is_log, admitted, wait = true, 1, 0
    if #raw == 80 then
      log = {decode(shape, raw)}
    else
      if raw ~= '' then call('DEL', key) end
      log = {decode(shape, string.rep('\0', 80))}
      log[1] = now
    end
    local base, capacity, head, newest, lowest = log[1], log[2], log[3], log[5], log[7]
    if not (base > 0 and base < 1e15) or lowest > head or head - lowest > capacity then is_log = false end
    if log[6] ~= ask[3] and is_log then
      -- Other windows, or a refund: whatever is still there may count.
      local stamp = 0
      if lowest < head then
        local slot = 80 + 4 * (lowest % capacity)
        local unit = call('GETRANGE', key, slot, slot + 3)
        if #unit == 4 then stamp = decode('<I4', unit) else is_log = false end
      end
      for i = 8, last, 2 do log[i], log[i + 1] = lowest, stamp end
      log[6] = ask[3]
    end
    at = now - base
    if at < newest then at = newest end
    for i = 8, last, 2 do
      local length, limit, tail, first = ask[i], ask[i + 1], log[i], log[i + 1]
      if tail < lowest or tail > head then is_log = false end
      local edge = at - length
      if tail < head and first <= edge and is_log then
        -- The first unit later than `edge`: gallops, then bisects.
        local found, step = head, 1
        first = 0
        if newest <= edge then tail = head end
        while found - tail > 1 do
          local probe = tail + step
          if probe >= found then probe = (tail + found - (tail + found) % 2) / 2 end
          local slot = 80 + 4 * (probe % capacity)
          local unit = call('GETRANGE', key, slot, slot + 3)
          if #unit < 4 then is_log = false break end
          local stamp = decode('<I4', unit)
          if stamp > edge then found, first, step = probe, stamp, head else tail, step = probe, step * 2 end
        end
        tail = found
        log[i], log[i + 1] = tail, first
      end
      local excess = head - tail + cost - limit
      if excess > 0 and is_log then
        admitted = 0
        if cost > limit then wait = 4294967295 else
          local leaver = first
          if excess > 1 then
            local slot = 80 + 4 * ((tail + excess - 1) % capacity)
            local unit = call('GETRANGE', key, slot, slot + 3)
            if #unit == 4 then leaver = decode('<I4', unit) else is_log = false end
          end
          leaver = leaver + length - at
          if leaver > wait then wait = leaver end
        end
      end
    end
    if not is_log then raw = 'no log' end
  until is_log

  if operation == 'f' then
    admitted, wait = 1, 0
    cost = math.min(cost, math.max(1000000 - (log[3] - log[last]), 0))
  elseif admitted == 0 then
    cost = 0
    if flags % 2 == 1 then denied = true end
  elseif flags >= 2 then
    cost = 0
  end
  ask[1], ask[2], ask[3], ask[4] = log[1] + at, admitted, wait, cost
  ask[6], ask[7] = log, shape
  ARGV[2 + k] = ask
end
if operation ~= 'c' then denied = false end

local answers = ''
for k = 1, count do
  local ask = ARGV[2 + k]
  local key, log, shape = KEYS[k], ask[6], ask[7]
  local cost, last = ask[4], #shape / 2 - 1
  local base, head = log[1], log[3]
  local at = ask[1] - base
  if denied then cost = 0 end

  if cost > 0 then
    local capacity, longest = log[2], ask[last]
    local live = head - log[last]
    local needed = live + cost
    if needed > capacity or capacity > 64 and needed * 4 < capacity or at > 4000000000 or head > 2000000000 then
      -- Rewritten from the oldest unit on that the longest window counts: a capacity that fits, small numbers, small
      -- offsets.
      local from, stamps, shift = log[last], '', at
      if live > 0 then
        local slot, wall = 80 + 4 * (from % capacity), 80 + 4 * capacity
        local behind = slot + 4 * live
        if behind <= wall then stamps = call('GETRANGE', key, slot, behind - 1)
        else stamps = call('GETRANGE', key, slot, wall - 1) .. call('GETRANGE', key, 80, 79 + behind - wall) end
        if #stamps < 4 * live then
          -- The log was cut off where no decision looked: dropped and counted as empty, as above.
          live, needed, stamps = 0, cost, ''
          for i = 8, last, 2 do log[i] = from end
        else shift = 0 end
        if live > 0 and at > 4000000000 then
          shift = log[last + 1]
          local moved = {}
          for u = 1, live do moved[u] = encode('<I4', decode('<I4', stamps, 4 * u - 3) - shift) end
          stamps = table.concat(moved)
        end
      end
      if needed > capacity then
        capacity = math.max(math.min(capacity * 2, ask[5]), 8, needed)
      elseif capacity > 64 and needed * 4 < capacity then
        capacity = math.max(needed * 2, 8)
      end
      call('SET', key, string.rep('\0', 80) .. stamps .. string.rep('\0', 4 * (capacity - live)))
      base, at, head = base + shift, at - shift, live
      log[1], log[2], log[4], log[7] = base, capacity, 0, 0
      for i = 8, last, 2 do log[i], log[i + 1] = log[i] - from, log[i + 1] - shift end
    end

    local slot, stamp = 80 + 4 * (head % capacity), encode('<I4', at)
    if cost > 1 then
      local room = capacity - head % capacity
      if cost > room then call('SETRANGE', key, '80', string.rep(stamp, cost - room)) end
      stamp = string.rep(stamp, math.min(cost, room))
    end
    call('SETRANGE', key, slot, stamp)
    if at + longest > log[4] then
      -- An eighth more than needed, so that this is called eight times a window and not on each admission.
      local life = longest + math.floor(longest / 8) + 1
      call('PEXPIRE', key, life)
      log[4] = math.min(at + life, 4294967295)
    end
    for i = 8, last, 2 do
      if log[i] == head then log[i + 1] = at end
    end
    head = head + cost
    log[3], log[5] = head, at
    if head - capacity > log[7] then log[7] = head - capacity end
    call('SETRANGE', key, '0', encode(shape, unpack(log)))
  end

  for i = 8, last, 2 do
    local free, reset = ask[i + 1] - head + log[i], 0
    if log[i] < head then reset = log[i + 1] + ask[i] - at end
    if free < 0 then free = 0 end
    ask[i], ask[i + 1] = free, reset
  end
  ask[4], ask[6], ask[7] = given and given[k] or cost, 0, 0
  local answer = encode(shape, unpack(ask))
  if count == 1 then return answer end
  answers = answers .. answer
end
return answers
