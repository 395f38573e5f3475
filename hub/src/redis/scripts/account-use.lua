-- Reads what the calls of one account use. Writes nothing.
--
-- Argument: account, a holder or nobody. Answer: slots leased, live calls, those of the holder among
-- them, live calls of the organization.

local id, holder = unpack(checked(argument(), 'bb', 'account'))
sized(id, ACCOUNT_BYTES, 'account')
local refusal = open(false)
if refusal then
  return refusal
end

local counter = counters_of:get(id)
if not counter then
  return { APPLIED, 0, 0, 0, 0 }
end
local lease = counter.leases[holder]
local organization = organizations_of:get(counter.organization)
return {
  APPLIED, counters.leased(counter), counters.live(counter), lease and lease.live or 0,
  organization and organization.live or 0,
}
