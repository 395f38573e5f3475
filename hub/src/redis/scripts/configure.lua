-- Applies changes of configuration, all or none. The organization's sums move with its counters' limits
-- in the same step.
--
-- Argument: changes of configuration. Answer: nothing.

local changes = configuration.check(argument())
local refusal = open(false)
if refusal then
  return refusal
end

configuration.apply(changes)
finish()
return { APPLIED }
