-- What an organization bought, the limits of counters, and the money of wallets: each replaces what
-- has a lower version, so repeating changes nothing.

local configuration = {}

function configuration.organization(id, version, total)
  local organization = counters.organization(id)
  if version >= organization.version then
    organization.version, organization.total = version, total
    organizations_of:put(id, organization)
  end
end

-- The cap of an account's outbound calls is named by the random half of the account's id.
local function outbound(id)
  return string.sub(id, -CAP_BYTES)
end

function configuration.counter(id, organization, version, floor, cap, outbound_cap)
  local counter = counters_of:get(id)
  if not counter then
    counter = counters.new(organization)
    counters_of:put(id, counter)
  end
  if version >= counter.version then
    counters.change(id, counter, function()
      counter.version, counter.floor, counter.cap = version, floor, cap
    end)
  end
  caps.configure(outbound(id), version, outbound_cap)
end

function configuration.cap(id, version, most)
  caps.configure(id, version, most)
end

function configuration.cap_gone(id)
  caps.remove(id)
end

local function remove(id)
  local counter = counters_of:get(id)
  if counter then
    local nothing = { floor = 0, leased = 0, live = 0 }
    counters.account_for(id, counter.organization, counters.share(counter), nothing)
    for holder in pairs(counter.leases) do
      sets.put('counters-of:' .. holder, id, false)
    end
    sorted.put('anonymous', 'c' .. id, false)
    counters_of:put(id, false)
  end
end

-- While calls of the counter live it stays, for them only: they end on its organization's money.
function configuration.counter_gone(id)
  caps.remove(outbound(id))
  local counter = counters_of:get(id)
  if counter and counters.live(counter) > 0 then
    counters.change(id, counter, function()
      counter.floor, counter.cap = 0, 0
    end)
    return
  end
  remove(id)
  remove(string.char(string.byte(id) % SHADOW_BIT + SHADOW_BIT) .. string.sub(id, 2))
end

function configuration.wallet(owner, sequence, escrow, posted, config)
  local wallet = wallets.entry(owner)
  if not wallet.sequence or sequence >= wallet.sequence then
    wallet.sequence, wallet.escrow, wallet.config = sequence, escrow, config
  end
  wallet.spent = math.max(wallet.spent, posted)
end

local SHAPES = {
  organization = 'bbnn', counter = 'bbbnnni', counter_gone = 'bb', wallet = 'bbniib',
  cap = 'bbni', cap_gone = 'bb',
}
-- Bytes of what a change is about, where that is no account.
local ID_BYTES = { cap = CAP_BYTES, cap_gone = CAP_BYTES }

-- Checks a list of changes, each a list that begins with what it changes.
function configuration.check(changes)
  if type(changes) ~= 'table' then
    malformed('changes')
  end
  for _, change in ipairs(changes) do
    local shape = type(change) == 'table' and SHAPES[change[1]]
    if not shape then
      malformed('change')
    end
    sized(checked(change, shape, 'change')[2], ID_BYTES[change[1]] or ACCOUNT_BYTES, 'account or cap')
    if change[1] == 'counter' then
      sized(change[3], ACCOUNT_BYTES, 'organization')
    end
  end
  return changes
end

function configuration.apply(changes)
  local counter_ids, cap_ids = {}, {}
  for _, change in ipairs(changes) do
    local kind, id = change[1], change[2]
    counter_ids[#counter_ids + 1] = kind == 'counter' and id or nil
    cap_ids[#cap_ids + 1] = ID_BYTES[kind] and id or kind == 'counter' and outbound(id) or nil
  end
  counters_of:load(counter_ids)
  caps_of:load(cap_ids)
  for _, change in ipairs(changes) do
    configuration[change[1]](unpack(change, 2))
  end
end
