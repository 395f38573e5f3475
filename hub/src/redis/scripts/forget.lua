-- Drops the oldest tombstones: there are more than are kept. Frees memory: allowed when there is none.
--
-- Argument: count. Answer: nothing.

local count = checked(argument(), 'n', 'forget')[1]
local refusal = open(false)
if refusal then
  return refusal
end

if count > 0 then
  calls.forget(count, nil)
end
finish()
return { APPLIED }
