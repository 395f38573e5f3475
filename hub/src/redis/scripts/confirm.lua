-- A holder stands in the database now: it may be granted something. One that is not known here is
-- left alone.
--
-- Argument: holder. Answer: nothing.

local id = sized(checked(argument(), 'b', 'confirm')[1], HOLDER_BYTES, 'holder')
local refusal = open(false)
if refusal then
  return refusal
end

local holder = holders.find(id)
if holder and not holder.confirmed then
  holder.confirmed = true
  holders.changed(id)
  wake()
end
finish()
return { APPLIED }
