-- Counters: what the hub leases to holders. Leases are cumulative per holder, granted and returned, so
-- that a repeated or late report changes nothing. A counter's sums are made from its leases each time;
-- those of an organization are kept.

local counters = {}

-- Shadows are told by the first byte of an id.
local SHADOW_BIT = 128

local function is_shadow(id)
  return string.byte(id) >= SHADOW_BIT
end

local function real(id)
  return is_shadow(id) and string.char(string.byte(id) - SHADOW_BIT) .. string.sub(id, 2) or id
end

local function units(lease)
  return lease.granted - lease.returned
end

-- Units without a call, as far as is known here: idle, or used by a call not recorded yet.
local function idle_units(lease)
  return math.min(math.max(units(lease) - lease.live, 0), U32_MAX)
end

function counters.leased(counter)
  local leased = counter.named + batches.sum(counter.anonymous)
  for _, lease in pairs(counter.leases) do
    leased = leased + units(lease)
  end
  return math.min(leased, U32_MAX)
end

function counters.live(counter)
  local live = counter.named
  for _, lease in pairs(counter.leases) do
    live = live + lease.live
  end
  return live
end

function counters.new(organization)
  return {
    organization = organization, version = 0, floor = 0, cap = 0,
    leases = {}, named = 0, anonymous = {},
  }
end

function counters.lease_of(id, counter, holder)
  local lease = counter.leases[holder]
  if not lease then
    lease = { granted = 0, returned = 0, live = 0, unflushed_max = 0 }
    counter.leases[holder] = lease
    sets.put('counters-of:' .. holder, id, true)
  end
  return lease
end

function counters.organization(id)
  local organization = organizations_of:get(id)
  if not organization then
    organization = { version = 0, total = 0, leased = 0, committed = 0, live = 0 }
    organizations_of:put(id, organization)
  end
  return organization
end

-- Keeps the organization's sums in step with one counter's change. Shadows are outside the total.
function counters.account_for(id, organization_id, before, after)
  local is_same = before.leased == after.leased and before.floor == after.floor
    and before.live == after.live
  if is_shadow(id) or is_same then
    return
  end
  local organization = counters.organization(organization_id)
  organization.leased = organization.leased + after.leased - before.leased
  organization.committed = organization.committed
    + math.max(after.leased, after.floor) - math.max(before.leased, before.floor)
  organization.live = organization.live + after.live - before.live
  organizations_of:put(organization_id, organization)
  local was_above, is_above = before.leased > before.floor, after.leased > after.floor
  if was_above ~= is_above then
    sorted.put('above-floor:' .. organization_id, id, is_above and 0)
  end
end

-- As `account_for`, of calls that began or ended on units which were leased before and after.
local function count_live(id, counter, more)
  if not is_shadow(id) then
    local organization = counters.organization(counter.organization)
    organization.live = organization.live + more
    organizations_of:put(counter.organization, organization)
  end
end

function counters.share(counter)
  return {
    floor = counter.floor, leased = counters.leased(counter), live = counters.live(counter),
  }
end

-- Changes one counter and keeps the sums in step.
function counters.change(id, counter, change)
  local before = counters.share(counter)
  change(counter)
  counters_of:put(id, counter)
  counters.account_for(id, counter.organization, before, counters.share(counter))
end

-- The counter; a shadow's comes into being at its first use, with its account's limits.
function counters.with_shadow(id)
  local counter = counters_of:get(id)
  if not is_shadow(id) then
    return counter
  end
  local account = counters_of:get(real(id))
  if not account then
    return nil
  end
  counter = counter or counters.new(account.organization)
  counter.floor, counter.cap = account.floor, account.cap
  counters_of:put(id, counter)
  return counter
end

function counters.organization_of(id)
  local counter = counters_of:get(real(id))
  return counter and counter.organization
end

-- What a holder has had in total, merged by maximum; it never returns more than it got.
function counters.report(holder, id, granted, returned, unflushed_max)
  local counter = counters.with_shadow(id)
  if not counter then
    return
  end
  counters.change(id, counter, function()
    local lease = counters.lease_of(id, counter, holder)
    lease.granted = math.max(lease.granted, granted)
    lease.returned = math.max(lease.returned, math.min(returned, lease.granted))
    lease.unflushed_max = unflushed_max
  end)
end

-- A call of the counter went live at a holder, or at none.
function counters.goes_live(id, holder)
  local counter = counters_of:get(id)
  if not counter then
    return
  elseif holder == NOBODY then
    counters.change(id, counter, function()
      counter.named = counter.named + 1
    end)
  else
    local lease = counters.lease_of(id, counter, holder)
    lease.live = lease.live + 1
    counters_of:put(id, counter)
    count_live(id, counter, 1)
  end
end

-- It is over. A unit without a holder is free at once.
function counters.ends(id, holder)
  local counter = counters_of:get(id)
  if not counter then
    return
  elseif holder == NOBODY then
    counters.change(id, counter, function()
      counter.named = math.max(counter.named - 1, 0)
    end)
  else
    local lease = counters.lease_of(id, counter, holder)
    count_live(id, counter, -math.min(lease.live, 1))
    lease.live = math.max(lease.live - 1, 0)
    counters_of:put(id, counter)
  end
end

-- A call without a holder becomes `holder`'s, whatever the limits say by now.
function counters.inherit(id, holder)
  local counter = counters.with_shadow(id)
  if counter then
    counters.change(id, counter, function()
      counter.named = math.max(counter.named - 1, 0)
      local lease = counters.lease_of(id, counter, holder)
      lease.granted, lease.live = lease.granted + 1, lease.live + 1
    end)
  end
end

-- As `inherit`, of a call that was never recorded here: its unit is one of those kept without a name.
-- When there is none, two faults have met.
function counters.inherit_unknown(id, holder)
  local counter, kept = counters.with_shadow(id), 0
  if counter then
    counters.change(id, counter, function()
      kept = batches.take('c' .. id, counter.anonymous, 1)
      local lease = counters.lease_of(id, counter, holder)
      lease.granted, lease.live = lease.granted + 1, lease.live + 1
    end)
  end
  shard.overshoot = shard.overshoot + 1 - kept
end

-- The holder's calls are nobody's now: each keeps its unit, which is no longer the holder's.
function counters.orphan(holder)
  for id in pairs(members_of('counters-of:' .. holder)) do
    local counter = counters_of:get(id)
    counters.change(id, counter, function()
      local lease = counter.leases[holder]
      counter.named = counter.named + lease.live
      lease.returned = math.min(lease.returned + lease.live, lease.granted)
      lease.live = 0
    end)
  end
end

-- The holder is gone, and its calls are nobody's: what it may have used without recording it is kept
-- until `until_s`, the rest is free. If it has recorded all, none is kept.
function counters.reap(holder, until_s, has_recorded_all)
  for id in pairs(members_of('counters-of:' .. holder)) do
    local counter = counters_of:get(id)
    counters.change(id, counter, function()
      local lease = counter.leases[holder]
      counter.leases[holder] = nil
      local kept = has_recorded_all and 0 or math.min(lease.unflushed_max, idle_units(lease))
      if kept > 0 then
        batches.keep('c' .. id, counter.anonymous, kept, until_s)
      end
    end)
    sets.put('counters-of:' .. holder, id, false)
  end
end

function counters.expire_anonymous(id, now)
  local counter = counters_of:get(id)
  counters.change(id, counter, function()
    batches.expire('c' .. id, counter.anonymous, now)
  end)
end
