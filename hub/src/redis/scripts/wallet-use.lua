-- Reads what the calls on one wallet hold and have spent. Writes nothing.
--
-- Argument: owner. Answer: held, spent.

local owner = sized(checked(argument(), 'b', 'owner')[1], ACCOUNT_BYTES, 'owner')
local refusal = open(false)
if refusal then
  return refusal
end

local wallet = wallets_of.get(owner)
return { APPLIED, wallet and wallet.held or 0, wallet and wallet.spent or 0 }
