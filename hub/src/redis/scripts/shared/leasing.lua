-- How units are leased, and recalled before anybody is refused, so that a refusal is true at the
-- instant it is decided (rule 9). And the regime: how far a holder may go without asking. The same
-- arithmetic as `hub::allocation`.

-- Caps below this are always exact.
local FAST_CAP_MIN = 8
-- Unflushed admits of one holder and counter, at most.
local UNFLUSHED_MAX = 1000
-- All holders together have at most this fraction of a cap unflushed.
local UNFLUSHED_PART = 16
-- Less than this fraction of a cap left: exact.
local EXACT_PART = 8

local function parts(number, divisor)
  return (number - number % divisor) / divisor
end

-- How many of `wanted` units may be leased, and which limit said so when fewer.
local function grantable(counter, leased, sums, wanted)
  local by_cap = math.max(counter.cap - leased, 0)
  local to_floor = math.max(counter.floor - leased, 0)
  local within = math.min(to_floor, math.max(sums.total - sums.leased, 0))
  local beyond = within == to_floor and math.max(sums.total - sums.committed, 0) or 0
  local granted = math.min(wanted, by_cap, within + beyond, U32_MAX)
  if granted == wanted then
    return granted, nil
  end
  return granted, granted == by_cap and 'account' or 'organization'
end

-- Recalls what others than `holder` have idle; true when `holder` itself has some.
local function recall(id, counter, holder, recalls)
  local own = false
  for other, lease in pairs(counter.leases) do
    if idle_units(lease) > 0 then
      if other == holder then
        own = true
      else
        recalls[#recalls + 1] = { other, 'R' .. id }
      end
    end
  end
  return own
end

-- Whether bytes come before others: Lua itself compares as the server's locale has it.
local function is_before(one, other)
  for position = 1, #one do
    local a, b = string.byte(one, position), string.byte(other, position)
    if a ~= b then
      return a < b
    end
  end
  return false
end

-- Counters of the organization with units above their floor, in the order of their ids.
local function above_floor(organization_id)
  local name = 'above-floor:' .. organization_id
  local changes, ids, is_stored = sorted.changes(name) or {}, {}, {}
  for _, id in ipairs(redis.call('ZRANGE', prefix .. name, '0', '-1')) do
    is_stored[id] = true
    if changes[id] ~= false then
      ids[#ids + 1] = id
    end
  end
  for id, score in pairs(changes) do
    if score and not is_stored[id] then
      local position = 1
      while ids[position] and is_before(ids[position], id) do
        position = position + 1
      end
      table.insert(ids, position, id)
    end
  end
  return ids
end

local function recall_above_floors(organization_id, holder, recalls)
  local own, ids = false, above_floor(organization_id)
  counters_of:load(ids)
  for _, id in ipairs(ids) do
    own = recall(id, counters_of:get(id), holder, recalls) or own
  end
  return own
end

-- Leases up to `wanted` more units to `holder`, or says why not one. Whose idle units stand against a
-- refusal is added to `recalls`.
function counters.lease(holder, id, wanted, recalled, recalls)
  local counter = counters.with_shadow(id)
  if not counter then
    return { 'unknown' }
  end
  local sums = { leased = 0, committed = 0, total = U32_MAX }
  if not is_shadow(id) then
    sums = organizations_of:get(counter.organization) or { leased = 0, committed = 0, total = 0 }
  end
  local granted, scope = grantable(counter, counters.leased(counter), sums, math.max(wanted, 1))
  if granted > 0 then
    counters.change(id, counter, function()
      local lease = counters.lease_of(id, counter, holder)
      lease.granted = lease.granted + granted
    end)
    return { 'granted', granted }
  end
  local known, own_idle, limit = #recalls, false, counter.cap
  if scope == 'organization' then
    limit = sums.total
    own_idle = recall_above_floors(counter.organization, holder, recalls)
  end
  -- Its own idle units serve it as well, within its floor or not.
  own_idle = recall(id, counter, holder, recalls) or own_idle
  if #recalls > known or own_idle and not recalled then
    return { 'recall' }
  end
  return { 'refused', scope, limit }
end

local function is_exact(id, counter)
  local leased = counters.leased(counter)
  if counter.cap < FAST_CAP_MIN
    or math.max(counter.cap - leased, 0) < parts(counter.cap, EXACT_PART) then
    return true
  end
  local sums = organizations_of:get(counter.organization)
  local is_near_total = not sums
    or math.max(sums.total - sums.committed, 0) < parts(sums.total, EXACT_PART)
  return leased >= counter.floor and is_near_total and not is_shadow(id)
end

-- What a holder has of a counter: units granted in total, and how many admits it may answer before
-- the hub has them, with `confirmed` holders: 0 where little is left, so that the hub decides each.
function counters.terms(holder, id, confirmed)
  local counter = counters_of:get(id)
  if not counter then
    return { id, 0, 0 }
  end
  local unflushed_max = 0
  if not is_exact(id, counter) then
    unflushed_max = parts(counter.cap, UNFLUSHED_PART * math.max(confirmed, 1))
    unflushed_max = math.min(math.max(unflushed_max, 1), UNFLUSHED_MAX)
  end
  local lease = counters.lease_of(id, counter, holder)
  lease.unflushed_max = math.max(lease.unflushed_max, unflushed_max)
  counters_of:put(id, counter)
  return { id, lease.granted, unflushed_max }
end
