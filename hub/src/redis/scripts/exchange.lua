-- One call of a holder to the shard, whole: its beat and its claim on the clock, what it reports, what it
-- wants, its letters, the reaps it asks for, and what it is told. All of it counts or nothing does; a
-- repeated or late exchange changes nothing but the clock.
--
-- Argument: see SHAPE. Answer: the standing, incarnation, clock, learning, and the directory's revision; of
-- a member also the rest.

local SHAPE = 'nnfnnnffblllllnlll'

-- Tombstones that one sync, and each end of a call in it, may drop.
local FORGET_PER_SYNC, FORGET_PER_END = 64, 2

local EVENTS = {
  admitted = { 'bbbnbnibb', 'caps', 'deadline', 'hold', 'call', 'lease' },
  ended = { 'bbbnnnib', 'forget_at', 'revision', 'taken', 'record' },
  withdrawn = { 'bbbn' },
}
EVENTS.wanted, EVENTS.renewed, EVENTS.adopted = EVENTS.admitted, EVENTS.admitted, EVENTS.admitted
EVENTS['wanted-on-unit'] = EVENTS.admitted

-- Checks a packed event and gives its values names.
local function event_of(list)
  local kind = type(list) == 'table' and EVENTS[list[1]]
  if not kind then
    malformed('event')
  end
  checked(list, kind[1], 'event')
  local event = { kind = list[1], name = list[2], identity = list[3], billing = list[4] }
  if #event.name <= ACCOUNT_BYTES or event.billing > CONSOLIDATED then
    malformed('event')
  end
  sized(event.identity, IDENTITY_BYTES, 'identity')
  event.account = account_of(event.name)
  for position = 2, #kind do
    event[kind[position]] = list[position + 3]
  end
  if event.caps and #event.caps % CAP_BYTES ~= 0 then
    malformed('caps')
  end
  return event
end

local function read()
  local list = checked(argument(), SHAPE, 'exchange')
  local exchange = {
    incarnation = list[1], number = list[2],
    claim = list[3] and { saw_ms = list[4], elapsed_ms = list[5] },
    mail_seen = list[6], complete = list[7], leaving = list[8],
    holder = sized(list[9], HOLDER_BYTES, 'holder'),
    events = list[10], ends = 0,
    holdings = all_checked(list[11], 'bnnn', 'holding'),
    wants = all_checked(list[12], 'bnf', 'want'),
    purses = all_checked(list[13], 'biii', 'purse'),
    funds = all_checked(list[14], 'bii', 'fund'),
    first_record = list[15],
    mail = all_checked(list[16], 'bb', 'letter'),
    reap = all_checked(list[17], 'bn', 'standstill'),
    find = list[18],
  }
  for _, lists_of_accounts in ipairs({ 'holdings', 'wants', 'purses', 'funds' }) do
    for _, one in ipairs(exchange[lists_of_accounts]) do
      sized(one[1], ACCOUNT_BYTES, 'account')
    end
  end
  for _, name in ipairs(exchange.find) do
    if type(name) ~= 'string' or #name <= ACCOUNT_BYTES then
      malformed('name of a call')
    end
  end
  for position, list_of_event in ipairs(exchange.events) do
    exchange.events[position] = event_of(list_of_event)
    exchange.ends = exchange.ends + (list_of_event[1] == 'ended' and 1 or 0)
  end
  return exchange
end

local exchange = read()
local refusal = open(false)
if refusal then
  return refusal
end

local holder_id = exchange.holder

local function reply(standing)
  return {
    APPLIED, standing, shard.incarnation, shard.clock_ms, is_learning() and 1 or 0, shard.revision,
  }
end

if exchange.incarnation ~= shard.incarnation or exchange.incarnation == 0 then
  if exchange.number == 1 and shard.incarnation > 0 and not holders.find(holder_id) then
    -- Who joins has nothing to report; who had something stands in the database.
    local newcomer = holders.join(holder_id)
    newcomer.reported, newcomer.beat_ms = true, shard.clock_ms
    wake()
    finish()
  end
  return reply('other-incarnation')
end
local holder = holders.living(holder_id)
if not holder then
  return reply('gone')
end

-- Notes that the holder lives; why its exchange does not count, if it does not.
local function beat()
  local claim = exchange.claim
  if claim and claim.saw_ms == shard.clock_ms then
    shard.clock_ms = shard.clock_ms + math.min(claim.elapsed_ms, CLAIM_MAX_MS)
  end
  if exchange.number <= holder.exchange then
    return 'outdated'
  end
  holder.exchange, holder.beat, holder.beat_ms = exchange.number, holder.beat + 1, shard.clock_ms
  holders.changed(holder_id)
  holders.has_seen(holder_id, holder, exchange.mail_seen)
  if is_learning() and not holder.reported and not exchange.complete then
    return 'unreported'
  end
  holder.reported = true
  return nil
end

local standing = beat()
if standing then
  finish()
  return reply(standing)
end

local answer = reply('member')
local now = second_of(shard.clock_ms)
local grants_open = not is_learning() and holder.confirmed
local recalls, rejected, deferred, decided = {}, {}, {}, {}
-- Counters and wallets of which the reply says what is granted in total.
local asked_counters, asked_wallets = {}, {}

for _, member in ipairs(batches.expired(now)) do
  local anonymous_of = string.sub(member, 1, 1) == 'c' and counters or wallets
  anonymous_of.expire_anonymous(string.sub(member, 2), now)
end

-- A live call of a complete report: its unit and hold are in the holdings. True: another's.
local function is_owned(event)
  local displaced = calls.displace(event)
  if displaced then
    local owner = wallets.owner_of(event.account, displaced[BILLING])
    counters.ends(event.account, displaced[HOLDER])
    caps.ends(displaced[CAPS])
    wallets.hold(owner, displaced[HOLDER], -displaced[HOLD])
  end
  local taken, before = calls.adopt(event, holder_id, now)
  if taken == 'orphan' then
    counters.ends(event.account, NOBODY)
    wallets.hold(event.owner, NOBODY, -before)
  end
  if taken == 'unknown' then
    caps.goes_live(event.caps)
  end
  if taken == 'orphan' or taken == 'unknown' then
    counters.goes_live(event.account, holder_id)
    wallets.hold(event.owner, holder_id, event.hold)
  end
  return taken == 'refused'
end

local function admit(event, asked)
  local admitted = calls.admit(event, holder_id, now, asked)
  if admitted == 'new' then
    caps.goes_live(event.caps)
    counters.goes_live(event.account, holder_id)
    wallets.hold(event.owner, holder_id, event.hold)
  end
  return admitted == 'rejected'
end

-- Each kind of event; true: another admission of the same name came before, or it is another holder's.
local happened = {}

function happened.admitted(event, position)
  if exchange.complete then
    return is_owned(event)
  end
  if calls.would_admit(event, now) == 'rejected' and calls.may_be_undone(event) then
    deferred[#deferred + 1] = position
    return false
  end
  return admit(event, 0)
end

-- The exact regime: leases a unit for the call, unless its holder has one, and records it, or neither.
local function decide(event, has_unit)
  asked_counters[event.account] = true
  local would = calls.would_admit(event, now)
  local wanted
  if would == 'repeated' then
    wanted = { 'granted', 1 }
  elseif would == 'rejected' then
    wanted = { 'granted', 0 }
  elseif not grants_open then
    wanted = { 'learning' }
  else
    local position, limit = caps.full(event.caps)
    if position then
      wanted = { 'capped', position, limit }
    elseif has_unit then
      wanted = { 'granted', 0 }
    else
      wanted = counters.lease(holder_id, event.account, 1, false, recalls)
    end
    if wanted[1] == 'granted' then
      admit(event, exchange.number)
    end
  end
  decided[#decided + 1] = wanted
  return would == 'rejected'
end

function happened.wanted(event)
  return decide(event, false)
end

happened['wanted-on-unit'] = function(event)
  return decide(event, true)
end

-- The unit and hold of a call come along. While the hub learns, who has it may not have reported yet.
function happened.adopted(event, position)
  local owner = event.owner
  asked_counters[event.account] = true
  if owner then
    asked_wallets[owner] = true
  end
  if not grants_open then
    deferred[#deferred + 1] = position
    return false
  end
  local taken, before = calls.adopt(event, holder_id, now)
  if taken == 'orphan' then
    counters.inherit(event.account, holder_id)
    wallets.inherit(owner, holder_id, before)
    wallets.hold(owner, holder_id, event.hold - before)
  elseif taken == 'unknown' then
    caps.goes_live(event.caps)
    counters.inherit_unknown(event.account, holder_id)
    wallets.inherit_unknown(owner, holder_id, event.hold)
  end
  return taken == 'refused'
end

function happened.renewed(event)
  local before = calls.renew(event, holder_id)
  if before then
    wallets.hold(event.owner, holder_id, event.hold - before)
  end
end

function happened.withdrawn(event)
  local hold, ids = calls.withdraw(event, holder_id)
  if hold then
    counters.ends(event.account, holder_id)
    caps.ends(ids)
    wallets.hold(event.owner, holder_id, -hold)
  end
end

-- What has ended stays ended; a correction replaces an expiry. The end of a call of which nothing is known
-- counts too (rule 12). In a complete report the holder's money is already without what its records cost.
local function end_call(event)
  local owner, payer = event.owner, exchange.complete and NOBODY or holder_id
  local before = calls.finish(event, holder_id)
  if before and before[KIND] == LIVE then
    counters.ends(event.account, before[HOLDER])
    caps.ends(before[CAPS])
    wallets.hold(owner, before[HOLDER], -before[HOLD])
    wallets.spend(owner, before[HOLDER], event.taken)
  elseif before then
    wallets.spend(owner, payer, event.taken - before[TAKEN])
  elseif calls.remember(event, now) then
    wallets.settle_unknown(owner, event.taken)
  else
    return false
  end
  return true
end

-- Puts the record into the stream, and remembers whose it is. Shadows are never posted. One that changes
-- nothing is known, and in the stream if it is not posted yet.
local record_number = exchange.first_record

function happened.ended(event, position)
  -- What is to be decided of its admission is decided first.
  if not exchange.complete and calls.may_be_undone(event) then
    deferred[#deferred + 1] = position
    return false
  end
  local is_new = end_call(event)
  local is_anothers = not is_new and not calls.has_ended(event)
  if is_shadow(event.account) then
    return is_anothers
  elseif is_new then
    stream.append(event.record)
  end
  if record_number > 0 then
    local acknowledged = stream.acknowledged()
    holders.recorded(holder_id, holder, record_number, shard.last_record, acknowledged)
    record_number = record_number + 1
  end
  return is_anothers
end

local function load_calls()
  local names = {}
  for _, event in ipairs(exchange.events) do
    names[#names + 1] = event.name
  end
  for _, name in ipairs(exchange.find) do
    names[#names + 1] = name
  end
  calls_of:load(names)
end

local function report()
  calls.forget(FORGET_PER_SYNC + FORGET_PER_END * exchange.ends, now)
  for _, holding in ipairs(exchange.holdings) do
    asked_counters[holding[1]] = true
    counters.report(holder_id, unpack(holding))
  end
  for _, purse in ipairs(exchange.purses) do
    asked_wallets[purse[1]] = true
    wallets.report(holder_id, unpack(purse))
  end
  for position, event in ipairs(exchange.events) do
    event.owner = wallets.owner_of(event.account, event.billing)
    if happened[event.kind](event, position - 1) then
      rejected[#rejected + 1] = position - 1
    end
  end
end

local function want()
  local wanted, funded = {}, {}
  for position, one in ipairs(exchange.wants) do
    local id, number, recalled = unpack(one)
    asked_counters[id] = true
    wanted[position] = grants_open and counters.lease(holder_id, id, number, recalled, recalls)
      or { 'learning' }
  end
  local confirmed = holders.confirmed()
  for position, one in ipairs(exchange.funds) do
    local owner, least, most = unpack(one)
    asked_wallets[owner] = true
    funded[position] = grants_open
      and wallets.fund(holder_id, owner, least, most, confirmed, recalls) or { 'learning' }
  end
  return wanted, funded
end

-- A compare-and-set on the beat: whoever lives has moved it.
local function give_up_those_who_stand_still()
  for _, standstill in ipairs(exchange.reap) do
    local id, seen = unpack(standstill)
    local other = id ~= holder_id and not is_learning() and holders.find(id)
    if other and other.beat == seen then
      give_up(id)
    end
  end
end

local function granted_in_total()
  local terms, funding, confirmed = {}, {}, holders.confirmed()
  for id in pairs(asked_counters) do
    terms[#terms + 1] = counters.terms(holder_id, id, confirmed)
  end
  for owner in pairs(asked_wallets) do
    funding[#funding + 1] = { owner, wallets.granted(holder_id, owner) }
  end
  return terms, funding
end

-- A holder that told all did not name this call: it has none such, and its unit may be another call's by
-- now. An older memory knows calls that have ended since.
local function abandon(name)
  local entry = calls.abandon(name)
  if entry then
    local account, billing = account_of(name), entry[BILLING]
    counters.ends(account, NOBODY)
    caps.ends(entry[CAPS])
    wallets.hold(wallets.owner_of(account, billing), NOBODY, -entry[HOLD])
  end
end

load_calls()
-- What the hub knows of a holder that tells all gives way to what it reports: its calls are nobody's until
-- it names them.
local disowned = {}
if exchange.complete then
  disowned = leave_calls(holder_id, holder)
  leave_idle(holder_id, holder, true)
end
report()
local wanted, funded = want()
for _, name in ipairs(disowned) do
  abandon(name)
end
for _, letters in ipairs({ recalls, exchange.mail }) do
  for _, letter in ipairs(letters) do
    local is_posted = holders.find(letter[1]) and holders.post(letter[1], letter[2])
    if is_posted and letter[1] ~= holder_id then
      wake()
    end
  end
end
give_up_those_who_stand_still()
end_learning()
local found, beats = {}, {}
for position, name in ipairs(exchange.find) do
  found[position] = calls.find(name)
end
local terms, funding = granted_in_total()
for id, other in pairs(holders.all()) do
  if other then
    beats[#beats + 1] = { id, other.beat }
  end
end
local mail = holders.mailbox(holder_id).letters
local learning = is_learning()
if exchange.leaving then
  reap(holder_id, true)
end
finish()

answer[5] = learning and 1 or 0
-- While the hub learns, somebody may yet report that a call which is due is its own. Who goes ends no
-- calls of others.
local due = (learning or exchange.leaving) and {} or calls.due(now)
for _, part in ipairs({
  wanted, decided, funded, rejected, deferred, terms, funding, found, mail, due, beats,
  holder.records_acknowledged,
}) do
  answer[#answer + 1] = part
end
return answer
