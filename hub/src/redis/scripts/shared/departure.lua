-- How the hub's clock runs, how learning ends, and what becomes of what a holder had.

-- The longest time that one claim may cover.
local CLAIM_MAX_MS = 2000

-- What a holder answered, it answered with deadlines of at most one call lease after its last
-- exchange: nobody can have a call of it later than that.
local function last_deadline(holder)
  return second_after(holder.beat_ms + shard.call_lease_s * 1000 + CLAIM_MAX_MS)
end

-- The holder's calls are nobody's now, with their units and holds, until they are over by what it has
-- recorded, or can be over at the latest. Returns their names.
local function leave_calls(id, holder, has_recorded_all)
  local last = has_recorded_all and 0 or last_deadline(holder)
  local names = calls.orphan(id, last, second_after(CLAIM_MAX_MS))
  counters.orphan(id)
  wallets.orphan(id)
  return names
end

-- What else the holder has is free, but for what calls that it has not recorded may use.
local function leave_idle(id, holder, has_recorded_all)
  counters.reap(id, last_deadline(holder), has_recorded_all)
  wallets.reap(id, last_deadline(holder), has_recorded_all)
end

-- A holder counts no longer: its calls are nobody's at once, the rest when it is buried.
local function give_up(id)
  local holder = holders.find(id)
  leave_calls(id, holder)
  holder.dying = true
  holders.changed(id)
  wake()
end

local function reap(id, has_recorded_all)
  local holder = holders.find(id)
  leave_calls(id, holder, has_recorded_all)
  leave_idle(id, holder, has_recorded_all)
  holders.remove(id)
end

local function is_learning()
  return shard.learning_at_most_until_ms ~= nil
end

-- Learning ends when all who stand in the database have reported, or can have no live calls any more.
-- What the others had is free when they are struck out: until then each may come back with it in another
-- incarnation.
local function end_learning()
  if not is_learning() then
    return
  end
  local missing = {}
  for id, holder in pairs(holders.all()) do
    if holder and not holder.reported then
      missing[#missing + 1] = id
    end
  end
  if shard.clock_ms >= shard.learning_at_most_until_ms
    or (#missing == 0 and shard.clock_ms >= shard.learning_at_least_until_ms) then
    shard.learning_at_least_until_ms, shard.learning_at_most_until_ms = nil, nil
    for _, id in ipairs(missing) do
      give_up(id)
    end
  end
end
