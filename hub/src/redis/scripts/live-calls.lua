-- Reads live calls of one account in the order of their admission. Writes nothing.
--
-- Argument: account, the place after which to begin (empty: at the first), how many at most. Answer: of
-- each call its bytes, its lease, its deadline, its holder.

local id, after, most = unpack(checked(argument(), 'bbn', 'live calls'))
sized(id, ACCOUNT_BYTES, 'account')
if after ~= '' then
  sized(after, IDENTITY_BYTES, 'place')
end
local refusal = open(false)
if refusal then
  return refusal
end

return { APPLIED, calls.live(id, after, math.min(most, VALUES_MAX)) }
