-- Who takes part: the database is to hear of those who are not confirmed, and of those who are dying.
-- Writes nothing.
--
-- Argument: an empty list. Answer: incarnation, whether it learns, and of each holder whether it is
-- confirmed and whether it is dying.

checked(argument(), '', 'holders')
local refusal = open(false)
if refusal then
  return refusal
end

local members = {}
for id, holder in pairs(holders.all()) do
  members[#members + 1] = { id, holder.confirmed and 1 or 0, holder.dying and 1 or 0 }
end
return { APPLIED, shard.incarnation, shard.learning_at_most_until_ms and 1 or 0, members }
