-- Begins a new incarnation of the shard's memory, whatever of it there is, and seals it for this server:
-- the reap of holders that do not stand in the database, the learning of what the others have, and the
-- configuration are one step. The directory counts again when it was published anew. An incarnation that
-- is not newer changes nothing.
--
-- Argument: incarnation, holders, learn_min_ms, learn_max_ms, call_lease_s, clock_ms, clock_seen_ms,
-- changes of configuration.
-- Answer: whether it began.

local incarnation, standing, learn_min_ms, learn_max_ms, call_lease_s, clock_ms, clock_seen_ms, changes =
  unpack(checked(argument(), 'nlnnnnnl', 'begin'))
for _, id in ipairs(standing) do
  sized(id, HOLDER_BYTES, 'holder')
end
configuration.check(changes)

local refusal = open(true)
if refusal then
  return refusal
elseif incarnation <= shard.incarnation then
  return { APPLIED, 0 }
end

shard.incarnation, shard.call_lease_s = incarnation, call_lease_s
if shard.clock_ms == 0 then
  shard.clock_ms = clock_ms
end
shard.clock_ms = math.max(shard.clock_ms, clock_seen_ms)
shard.learning_at_least_until_ms = shard.clock_ms + learn_min_ms
shard.learning_at_most_until_ms = shard.clock_ms + math.max(learn_max_ms, learn_min_ms)

local stands, leaving = {}, {}
for _, id in ipairs(standing) do
  stands[id] = true
end
for id in pairs(holders.all()) do
  if not stands[id] then
    leaving[#leaving + 1] = id
  end
end
for _, id in ipairs(leaving) do
  reap(id, false)
end
for _, id in ipairs(standing) do
  local holder = holders.find(id) or holders.join(id)
  holder.confirmed, holder.dying, holder.reported, holder.mail_seen = true, false, false, 0
  holders.forget_mail(id)
  holders.changed(id)
end
end_learning()
configuration.apply(changes)
directory.forget()
wake()
finish()
return { APPLIED, 1 }
