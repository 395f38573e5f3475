-- Reads a page of the directory. Writes nothing.
--
-- Argument: cursor. Answer: the cursor of the next page, and names and values in turn.

local cursor = checked(argument(), 'b', 'page')[1]
local refusal = open(false)
if refusal then
  return refusal
end

return { APPLIED, directory.page(cursor) }
