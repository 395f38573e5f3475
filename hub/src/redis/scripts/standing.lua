-- How the shard stands, for a control plane: the database is to hear of holders that are not confirmed,
-- and of those that are dying. Writes nothing.
--
-- Argument: an empty list. Answer: incarnation, whether it learns, of each holder whether it is
-- confirmed and whether it is dying, the last publication, the last record, the last record that was
-- acknowledged, and the shard's clock.

checked(argument(), '', 'standing')
local refusal = open(false)
if refusal then
  return refusal
end

local members = {}
for id, holder in pairs(holders.all()) do
  members[#members + 1] = { id, holder.confirmed and 1 or 0, holder.dying and 1 or 0 }
end
return {
  APPLIED, shard.incarnation, is_learning() and 1 or 0, members, directory.publication(),
  shard.last_record, stream.acknowledged(), shard.clock_ms,
}
