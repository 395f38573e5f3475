-- Reads records on their way to the ledger: at most `count_max` that follow the one numbered `after`.
-- Writes nothing.
--
-- Argument: after, count_max. Answer: the number of the first, and the records in order.

local after, count_max = unpack(checked(argument(), 'nn', 'records'))
local refusal = open(false)
if refusal then
  return refusal
end

local skip = math.max(after - stream.acknowledged(), 0)
local records = {}
if count_max > 0 then
  records = redis.call('LRANGE', prefix .. 'records', text(skip), text(skip + count_max - 1))
end
return { APPLIED, stream.acknowledged() + skip + 1, records }
