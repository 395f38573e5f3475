-- What is kept without a name, of a counter or a wallet, for calls that a holder which is gone may have
-- admitted without recording them: a flat list, the earliest `until` first, of `until` and amount.

local batches = {}

function batches.sum(list)
  local sum = 0
  for position = 2, #list, 2 do
    sum = sum + list[position]
  end
  return sum
end

-- `member` stands in the shard's index under the earliest `until` of its list.
local function index(member, list)
  sorted.put('anonymous', member, list[1] or false)
end

function batches.keep(member, list, amount, until_s)
  local position = 1
  while list[position] and list[position] < until_s do
    position = position + 2
  end
  if list[position] == until_s then
    list[position + 1] = list[position + 1] + amount
  else
    table.insert(list, position, amount)
    table.insert(list, position, until_s)
  end
  index(member, list)
end

-- Takes up to `amount`, the earliest first; returns what there was.
function batches.take(member, list, amount)
  local taken = 0
  while list[1] and taken < amount do
    local part = math.min(amount - taken, list[2])
    list[2], taken = list[2] - part, taken + part
    if list[2] == 0 then
      table.remove(list, 1)
      table.remove(list, 1)
    end
  end
  if taken > 0 then
    index(member, list)
  end
  return taken
end

-- Nobody can still have a call on what is kept until `now`.
function batches.expire(member, list, now)
  while list[1] and list[1] <= now do
    table.remove(list, 1)
    table.remove(list, 1)
  end
  index(member, list)
end

-- Members of the index of which something is over.
function batches.expired(now)
  return redis.call('ZRANGEBYSCORE', prefix .. 'anonymous', '-inf', text(now))
end
