-- The ledger has all records of the stream up to and including one: the stream loses them, and each
-- holder is told next time how many of its own they were. A number of another incarnation means nothing.
-- Frees memory: allowed when there is none.
--
-- Argument: incarnation, through. Answer: nothing.

local incarnation, through = unpack(checked(argument(), 'nn', 'acknowledge'))
local refusal = open(false)
if refusal then
  return refusal
end

if incarnation == shard.incarnation then
  stream.acknowledge(through)
  holders.acknowledge(through)
end
finish()
return { APPLIED }
