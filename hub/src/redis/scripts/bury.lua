-- A holder that was given up was struck out of the database: what it had and did not use is free. Not
-- before, so that a hub which loses its memory never takes it for one that still has something.
--
-- Argument: holder. Answer: nothing.

local id = sized(checked(argument(), 'b', 'bury')[1], HOLDER_BYTES, 'holder')
local refusal = open(false)
if refusal then
  return refusal
end

local holder = holders.find(id)
if holder and holder.dying then
  reap(id, false)
  wake()
end
finish()
return { APPLIED }
