-- The ledger has all records of the stream up to and including one: the stream loses them, and each
-- holder is told next time how many of its own they were. Frees memory: allowed when there is none.
--
-- Argument: through. Answer: nothing.

local through = checked(argument(), 'n', 'acknowledge')[1]
local refusal = open(false)
if refusal then
  return refusal
end

stream.acknowledge(through)
holders.acknowledge(through)
finish()
return { APPLIED }
