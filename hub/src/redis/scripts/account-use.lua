-- Reads what the calls of one account use. Writes nothing.
--
-- Argument: account. Answer: slots leased, live calls.

local id = sized(checked(argument(), 'b', 'account')[1], ACCOUNT_BYTES, 'account')
local refusal = open(false)
if refusal then
  return refusal
end

local counter = counters_of.get(id)
return { APPLIED, counter and counters.leased(counter) or 0, counter and counters.live(counter) or 0 }
