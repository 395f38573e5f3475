-- Publishes changes of configuration: the limits and money that holders are granted by, and the entries
-- of the directory by which they admit, in one step. The organization's sums move with its counters'
-- limits.
--
-- Argument: number, part (0: all of a publication, 1: a part of the whole directory anew, 2: the last
-- part of it), changes of configuration, entries [name, change]. Answer: nothing.

local WHOLE, ANEW, LAST_ANEW = 0, 1, 2

local number, part, changes, entries = unpack(checked(argument(), 'nnll', 'publication'))
if part > LAST_ANEW then
  malformed('part')
end
configuration.check(changes)
all_checked(entries, 'bb', 'entry')
local refusal = open(false)
if refusal then
  return refusal
end

configuration.apply(changes)
directory.put(number, entries)
if part == WHOLE then
  directory.is_published(number)
elseif part == LAST_ANEW then
  directory.is_whole(number)
end
if part ~= ANEW then
  wake()
end
finish()
return { APPLIED }
