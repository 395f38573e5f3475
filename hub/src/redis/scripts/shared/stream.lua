-- Finished calls on their way to the ledger, numbered from 1 without a gap: a list whose last item
-- has the number `last_record`.

local stream = { appended = 0 }

function stream.acknowledged()
  stream.waiting = stream.waiting or redis.call('LLEN', prefix .. 'records')
  return shard.last_record - stream.appended - stream.waiting
end

function stream.append(record)
  stream.acknowledged()
  lists.append('records', record)
  stream.appended = stream.appended + 1
  shard.last_record = shard.last_record + 1
end

-- Drops the records that the ledger has.
function stream.acknowledge(through)
  local count = math.min(through, shard.last_record) - stream.acknowledged()
  if count > 0 then
    lists.drop('records', count)
  end
end
