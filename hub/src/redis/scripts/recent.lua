-- Reads what was published after a revision of an incarnation. Writes nothing.
--
-- Argument: incarnation, revision. Answer: incarnation, revision (0: nothing counts yet), floor, whether
-- the changes are known, and of each entry that changed its value.

local incarnation, revision = unpack(checked(argument(), 'nn', 'reading'))
local refusal = open(false)
if refusal then
  return refusal
end

local names = nil
if shard.revision > 0 and incarnation == shard.incarnation then
  names = directory.changed_after(revision)
end
return {
  APPLIED, shard.incarnation, shard.revision, shard.directory_floor, names and 1 or 0,
  directory.values(names or {}),
}
