-- Calls: live ones with their lease and holder, ended ones as tombstones. A call only moves forward:
-- new, live, ended (rule 7). A call's name is its account and its `call_id`; its identity tells calls
-- of one name apart.

local calls = {}

-- Places in a live call's entry, and in an ended one's.
local KIND, IDENTITY = 1, 2
local HOLDER, DEADLINE, HOLD, CALL, LEASE, BILLING, CAPS, ASKED = 3, 4, 5, 6, 7, 8, 9, 10
local FORGET_AT, REVISION, TAKEN, RECORD = 3, 4, 5, 6
local LIVE, ENDED = 'L', 'E'

-- Orphans that one reply names, at most.
local DUE_MAX = 64
-- Bytes of an identity by which a tombstone knows its call.
local ADMISSION_LOW_HALF = 4

local function account_of(name)
  return string.sub(name, 1, ACCOUNT_BYTES)
end

-- Where a live call stands among those of its account: by the time of its admission.
local function put_live(name, entry, score)
  local place = string.reverse(entry[IDENTITY]) .. string.sub(name, ACCOUNT_BYTES + 1)
  sorted.put('live-of:' .. account_of(name), place, score)
end

-- Puts a live call where its account's and its holder's calls are found, or those of nobody.
local function enter(name, entry)
  calls_of:put(name, entry)
  put_live(name, entry, 0)
  if entry[HOLDER] == NOBODY then
    sorted.put('orphans', name, entry[DEADLINE])
  else
    sets.put('calls-of:' .. entry[HOLDER], name, true)
  end
end

-- Takes a live call from there.
local function leave(name, entry)
  put_live(name, entry, false)
  if entry[HOLDER] == NOBODY then
    sorted.put('orphans', name, false)
  else
    sets.put('calls-of:' .. entry[HOLDER], name, false)
  end
end

-- Whether the call could be admitted now. An expired tombstone does not stand in the way; one admission
-- reported twice is one.
function calls.would_admit(event, now)
  local entry = calls_of:get(event.name)
  if not entry or (entry[KIND] == ENDED and entry[FORGET_AT] <= now) then
    return 'new'
  end
  return entry[IDENTITY] == event.identity and 'repeated' or 'rejected'
end

-- Whether another call of the same name is live whose holder may not know yet that it got it: it may have
-- told its stack that there was no answer, which has asked somebody else.
function calls.may_be_undone(event)
  local entry = calls_of:get(event.name)
  if not entry or entry[KIND] ~= LIVE or entry[IDENTITY] == event.identity then
    return false
  end
  local asked = entry[ASKED] or 0
  local holder = asked > 0 and entry[HOLDER] ~= NOBODY and holders.find(entry[HOLDER])
  return holder and holder.exchange % (U32_MAX + 1) == asked or false
end

-- `asked`: the number of the exchange in which its holder asks for it, or 0.
function calls.admit(event, holder, now, asked)
  local admitted = calls.would_admit(event, now)
  if admitted == 'new' then
    enter(event.name, {
      LIVE, event.identity, holder, event.deadline, event.hold, event.call, event.lease,
      event.billing, event.caps, asked % (U32_MAX + 1),
    })
  end
  return admitted
end

-- The call, if `holder` has it.
local function own(event, holder)
  local entry = calls_of:get(event.name)
  local is_own = entry and entry[KIND] == LIVE and entry[HOLDER] == holder
  return is_own and entry[IDENTITY] == event.identity and entry or nil
end

-- What it held before; nil when it is no live call of `holder`.
function calls.renew(event, holder)
  local entry = own(event, holder)
  if not entry then
    return nil
  end
  local before = entry[HOLD]
  entry[DEADLINE], entry[HOLD], entry[LEASE], entry[ASKED] =
    event.deadline, event.hold, event.lease, 0
  calls_of:put(event.name, entry)
  return before
end

-- The admission is undone; what it held and its caps, if it was recorded.
function calls.withdraw(event, holder)
  local entry = own(event, holder)
  if not entry then
    return nil
  end
  leave(event.name, entry)
  calls_of:put(event.name, false)
  return entry[HOLD], entry[CAPS]
end

-- `holder` has the call from a dead one: by its token, or because it found it here. What became of it,
-- and what an orphan held.
function calls.adopt(event, holder, now)
  local entry = calls_of:get(event.name)
  if not entry and event.deadline <= now then
    -- Nobody has a call whose lease is over.
    return 'refused'
  elseif not entry or entry[KIND] ~= LIVE or entry[IDENTITY] ~= event.identity then
    return calls.admit(event, holder, now, 0) == 'new' and 'unknown' or 'refused'
  elseif entry[HOLDER] ~= NOBODY then
    return entry[HOLDER] == holder and 'own' or 'refused'
  end
  local before = entry[HOLD]
  leave(event.name, entry)
  entry[HOLDER], entry[DEADLINE], entry[HOLD], entry[LEASE], entry[ASKED] =
    holder, event.deadline, event.hold, event.lease, 0
  enter(event.name, entry)
  return 'orphan', before
end

-- What an older memory has in place of a call that a holder names which tells all gives way: another of the
-- name that nobody has, and any of a holder that has not reported. Returns what it was.
function calls.displace(event)
  local entry = calls_of:get(event.name)
  if not entry or entry[KIND] ~= LIVE then
    return nil
  end
  local is_same, holder = entry[IDENTITY] == event.identity, holders.find(entry[HOLDER])
  if holder and holder.reported or not holder and is_same then
    return nil
  end
  leave(event.name, entry)
  calls_of:put(event.name, false)
  return entry
end

-- The holder is gone: its calls live on without one, at least until `last`, and `slack_s` longer than
-- they would have. Returns their names.
function calls.orphan(holder, last, slack_s)
  local names = {}
  for name in pairs(members_of('calls-of:' .. holder)) do
    names[#names + 1] = name
  end
  calls_of:load(names)
  for _, name in ipairs(names) do
    local entry = calls_of:get(name)
    leave(name, entry)
    entry[HOLDER] = NOBODY
    entry[DEADLINE] = math.max(last, math.min(entry[DEADLINE] + slack_s, U32_MAX))
    enter(name, entry)
  end
  return names
end

-- Drops a call that is still nobody's, without a trace: it was over before, or never told of. Returns what
-- it was.
function calls.abandon(name)
  local entry = calls_of:get(name)
  if not entry or entry[KIND] ~= LIVE or entry[HOLDER] ~= NOBODY then
    return nil
  end
  leave(name, entry)
  calls_of:put(name, false)
  return entry
end

-- The entry of an ended call; its tombstone is the last of all.
local function bury(event)
  calls_of:put(event.name, {
    ENDED, event.identity, event.forget_at, event.revision, event.taken, event.record,
  })
end

local function add_tombstone(event)
  local low_half = string.sub(event.identity, 1, ADMISSION_LOW_HALF)
  lists.append('tombstones', cmsgpack.pack({ event.forget_at, low_half, event.name }))
end

-- What was there before, when the record changes anything: a live call of `holder` or of nobody ends, a
-- later revision replaces an earlier one.
function calls.finish(event, holder)
  local entry = calls_of:get(event.name)
  if not entry or entry[IDENTITY] ~= event.identity then
    return nil
  elseif entry[KIND] == ENDED then
    if entry[REVISION] >= event.revision then
      return nil
    end
    bury(event)
    return entry
  elseif entry[HOLDER] ~= holder and entry[HOLDER] ~= NOBODY then
    return nil
  end
  leave(event.name, entry)
  bury(event)
  add_tombstone(event)
  return entry
end

function calls.has_ended(event)
  local entry = calls_of:get(event.name)
  return entry and entry[KIND] == ENDED
end

-- Remembers the end of a call of which nothing is known here.
function calls.remember(event, now)
  if calls.would_admit(event, now) ~= 'new' then
    return false
  end
  bury(event)
  add_tombstone(event)
  return true
end

-- Drops the `count` oldest tombstones, or those of them whose time is over at `now`.
function calls.forget(count, now)
  local key, dropped = prefix .. 'tombstones', 0
  -- Nearly always there is none: the others are not read then.
  local oldest = now and redis.call('LINDEX', key, '0')
  if now and not (oldest and cmsgpack.unpack(oldest)[1] <= now) then
    return
  end
  for _, packed in ipairs(redis.call('LRANGE', key, '0', text(count - 1))) do
    local forget_at, low_half, name = unpack(cmsgpack.unpack(packed))
    if now and forget_at > now then
      break
    end
    dropped = dropped + 1
    local entry = calls_of:get(name)
    local is_ended = entry and entry[KIND] == ENDED
    if is_ended and string.sub(entry[IDENTITY], 1, ADMISSION_LOW_HALF) == low_half then
      calls_of:put(name, false)
    end
  end
  if dropped > 0 then
    lists.drop('tombstones', dropped)
  end
end

-- What the outside is told of a live call. Its deadline and holder count, not those in the bytes.
local function told(entry)
  return { entry[CALL], entry[LEASE], entry[DEADLINE], entry[HOLDER] }
end

local function all_told(names)
  calls_of:load(names)
  local live = {}
  for position, name in ipairs(names) do
    live[position] = told(calls_of:get(name))
  end
  return live
end

-- Live calls of an account in the order of their admission, at most `most` that follow the place `after`.
-- It reads what is stored.
function calls.live(account, after, most)
  -- No call_id has this byte: whatever stands at the place is passed over.
  local from = after == '' and '-' or '(' .. after .. '\255'
  local key = prefix .. 'live-of:' .. account
  local names = redis.call('ZRANGE', key, from, '+', 'BYLEX', 'LIMIT', '0', text(most))
  for position, place in ipairs(names) do
    names[position] = account .. string.sub(place, IDENTITY_BYTES + 1)
  end
  return all_told(names)
end

function calls.find(name)
  local entry = calls_of:get(name)
  if not entry then
    return { 'nothing' }
  elseif entry[KIND] == ENDED then
    return { 'ended', entry[RECORD] }
  end
  return { 'live', told(entry) }
end

-- Calls without a holder whose deadline has passed, the oldest first. Only after `finish`: it reads what
-- is stored.
function calls.due(now)
  local names =
    redis.call('ZRANGEBYSCORE', prefix .. 'orphans', '-inf', text(now), 'LIMIT', '0', text(DUE_MAX))
  return all_told(names)
end
