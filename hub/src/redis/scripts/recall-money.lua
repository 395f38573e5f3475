-- Asks every holder for the money of one wallet that it has idle, and says what the wallet is used for.
--
-- Argument: owner. Answer: held, spent, idle.

local owner = sized(checked(argument(), 'b', 'owner')[1], ACCOUNT_BYTES, 'owner')
local refusal = open(false)
if refusal then
  return refusal
end

wallets.recall(owner)
finish()
return { APPLIED, wallets.used(owner) }
