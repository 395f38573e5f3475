-- Wallets: the money that the ledger put at the hub's disposal, what live calls hold and what ended
-- calls have spent. Money is leased to holders as units of counters are.

local wallets = {}

-- What a call says of its billing.
local NOT_BILLED, ISOLATED, CONSOLIDATED = 0, 1, 2

-- The owner of the wallet on which a call is held and settled; nil: it is not billed.
function wallets.owner_of(account, billing)
  if billing == ISOLATED then
    return account
  end
  return billing == CONSOLIDATED and counters.organization_of(account) or nil
end

-- Comes into being at its first use; whoever asks for it changes it.
function wallets.entry(owner)
  local wallet = wallets_of:get(owner) or { spent = 0, held = 0, leases = {}, anonymous = {} }
  wallets_of:put(owner, wallet)
  return wallet
end

-- Without a recorded call; below zero for an instant when a call that was never recorded is adopted.
local function idle_money(lease)
  return lease.granted - lease.returned - lease.spent - lease.held
end

-- What is at holders without a recorded call, or kept for unrecorded ones.
local function all_idle_money(wallet)
  local idle = batches.sum(wallet.anonymous)
  for _, lease in pairs(wallet.leases) do
    idle = idle + idle_money(lease)
  end
  return idle
end

-- What is neither spent nor held, nor at a holder, nor kept for unrecorded calls.
local function free_money(wallet)
  return (wallet.escrow or 0) - wallet.spent - wallet.held - all_idle_money(wallet)
end

-- Letters to everybody who has idle money of it.
local function money_recalls(owner, wallet)
  local letters = {}
  for holder, lease in pairs(wallet.leases) do
    if idle_money(lease) > 0 then
      letters[#letters + 1] = { holder, 'W' .. owner }
    end
  end
  return letters
end

-- What the calls on it hold, what they have spent, and what is idle.
function wallets.used(owner)
  local wallet = wallets_of:get(owner)
  if not wallet then
    return 0, 0, 0
  end
  return wallet.held, wallet.spent, all_idle_money(wallet)
end

-- Asks everybody for what they have idle of it.
function wallets.recall(owner)
  local wallet = wallets_of:get(owner)
  for _, letter in ipairs(wallet and money_recalls(owner, wallet) or {}) do
    if holders.post(letter[1], letter[2]) then
      wake()
    end
  end
end

function wallets.lease_of(owner, wallet, holder)
  local lease = wallet.leases[holder]
  if not lease then
    lease = { granted = 0, returned = 0, spent = 0, held = 0, unflushed_max = 0 }
    wallet.leases[holder] = lease
    sets.put('wallets-of:' .. holder, owner, true)
  end
  return lease
end

-- A call that `holder` pays for holds `more` than before.
function wallets.hold(owner, holder, more)
  if owner then
    local wallet = wallets.entry(owner)
    wallet.held = wallet.held + more
    local lease = wallet.leases[holder]
    if lease then
      lease.held = lease.held + more
    end
  end
end

function wallets.spend(owner, holder, amount)
  if owner then
    local wallet = wallets.entry(owner)
    wallet.spent = wallet.spent + amount
    local lease = wallet.leases[holder]
    if lease then
      lease.spent = lease.spent + amount
    end
  end
end

-- What `holder` has had in total, merged by maximum; it never returns more than it got.
function wallets.report(holder, owner, granted, returned, unflushed_max)
  local lease = wallets.lease_of(owner, wallets.entry(owner), holder)
  lease.granted = math.max(lease.granted, granted)
  lease.returned = math.max(lease.returned, math.min(returned, lease.granted))
  lease.unflushed_max = unflushed_max
end

-- Leases money to `holder`: less as the wallet empties, so that others find some. Who has idle money
-- that stands against a refusal is added to `recalls`, the asker among them: together with what is free
-- here it may be enough.
function wallets.fund(holder, owner, least, most, confirmed, recalls)
  local wallet = wallets.entry(owner)
  local free, enough = free_money(wallet), math.max(least, 1)
  if free >= enough then
    local part = parts(free, 2 * math.max(confirmed, 1))
    local granted = math.min(math.max(part, enough), math.max(most, enough))
    local lease = wallets.lease_of(owner, wallet, holder)
    lease.granted = lease.granted + granted
    return { 'granted', granted }
  end
  local letters = money_recalls(owner, wallet)
  for _, letter in ipairs(letters) do
    recalls[#recalls + 1] = letter
  end
  return #letters > 0 and { 'recall' } or { 'empty', free }
end

function wallets.granted(holder, owner)
  local wallet = wallets_of:get(owner)
  local lease = wallet and wallet.leases[holder]
  return lease and lease.granted or 0
end

-- A call without a holder becomes `holder`'s: its hold comes along.
function wallets.inherit(owner, holder, hold)
  if owner then
    local lease = wallets.lease_of(owner, wallets.entry(owner), holder)
    lease.granted, lease.held = lease.granted + hold, lease.held + hold
  end
end

-- As `inherit`, of a call that was never recorded here: its hold comes out of what is kept for such
-- calls, as far as that goes.
function wallets.inherit_unknown(owner, holder, hold)
  if owner then
    local wallet = wallets.entry(owner)
    batches.take('w' .. owner, wallet.anonymous, hold)
    wallet.held = wallet.held + hold
    wallets.inherit(owner, holder, hold)
  end
end

-- The end of a call that was never recorded here: what is kept for such calls pays first, and no holder's
-- lease, for whoever tells had none for it.
function wallets.settle_unknown(owner, taken)
  if owner then
    batches.take('w' .. owner, wallets.entry(owner).anonymous, math.max(taken, 0))
    wallets.spend(owner, NOBODY, taken)
  end
end

-- The holder's calls are nobody's now: what they hold, and what earlier ones have spent, is no longer the
-- holder's.
function wallets.orphan(holder)
  for owner in pairs(members_of('wallets-of:' .. holder)) do
    local lease = wallets.entry(owner).leases[holder]
    lease.returned = math.min(lease.returned + lease.spent + lease.held, lease.granted)
    lease.spent, lease.held = 0, 0
  end
end

-- The holder is gone, and its calls are nobody's: what it may hold for unrecorded ones is kept, the rest is
-- free (rule 6).
function wallets.reap(holder, until_s, has_recorded_all)
  for owner in pairs(members_of('wallets-of:' .. holder)) do
    local wallet = wallets.entry(owner)
    local lease = wallet.leases[holder]
    wallet.leases[holder] = nil
    local kept = has_recorded_all and 0 or math.min(idle_money(lease), lease.unflushed_max)
    if kept > 0 then
      batches.keep('w' .. owner, wallet.anonymous, kept, until_s)
    end
    sets.put('wallets-of:' .. holder, owner, false)
  end
end

function wallets.expire_anonymous(owner, now)
  batches.expire('w' .. owner, wallets.entry(owner).anonymous, now)
end
