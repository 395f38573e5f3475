-- Drops the entries of a page of the directory that came before the whole was published anew. Readers pass
-- over them anyway. Frees memory: allowed when there is none.
--
-- Argument: cursor. Answer: the cursor of the next page.

local cursor = checked(argument(), 'b', 'page')[1]
local refusal = open(false)
if refusal then
  return refusal
end

return { APPLIED, directory.sweep(cursor) }
