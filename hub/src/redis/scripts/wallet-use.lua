-- Reads what the calls on one wallet hold and have spent. Writes nothing.
--
-- Argument: owner. Answer: held, spent, idle.

local owner = sized(checked(argument(), 'b', 'owner')[1], ACCOUNT_BYTES, 'owner')
local refusal = open(false)
if refusal then
  return refusal
end

return { APPLIED, wallets.used(owner) }
