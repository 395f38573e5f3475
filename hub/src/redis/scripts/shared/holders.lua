-- The holders of the shard: who takes part, how their beats stand, and what waits for each.

-- Letters that wait for one holder, at most; what is more is lost, and whoever sent it asks again.
local MAILBOX_MAX = 4096
-- Own records of a holder that one look at its list takes.
local OWN_RECORDS_READ = 256
-- Stands in place of a holder for calls whose holder is gone.
local NOBODY = ''

local holders = {}

function holders.all()
  return holders_of:all()
end

function holders.find(id)
  return holders.all()[id] or nil
end

-- One that was not given up.
function holders.living(id)
  local holder = holders.find(id)
  return holder and not holder.dying and holder or nil
end

-- A new one joins.
function holders.join(id)
  local holder = {
    confirmed = false, dying = false, reported = false, beat = 0, beat_ms = 0, exchange = 0,
    mail_seen = 0, record = 0, records_acknowledged = 0,
  }
  holders_of:put(id, holder)
  return holder
end

function holders.changed(id)
  holders_of:put(id, holders.find(id))
end

-- Those who may be granted something.
function holders.confirmed()
  local count = 0
  for _, holder in pairs(holders.all()) do
    if holder and holder.confirmed and not holder.dying then
      count = count + 1
    end
  end
  return count
end

function holders.remove(id)
  holders_of:put(id, false)
  for _, name in ipairs({ 'mail:', 'own-records:', 'calls-of:', 'counters-of:', 'wallets-of:' }) do
    gone[#gone + 1] = prefix .. name .. id
  end
end

-- Mailboxes that were looked into: holder → letters in order, and which they are.
local mailboxes = {}

function holders.mailbox(id)
  if not mailboxes[id] then
    local letters, has = redis.call('LRANGE', prefix .. 'mail:' .. id, '0', '-1'), {}
    for _, letter in ipairs(letters) do
      has[letter] = true
    end
    mailboxes[id] = { letters = letters, has = has }
  end
  return mailboxes[id]
end

-- The same letter does not wait twice. Whether it waits now and did not before.
function holders.post(id, letter)
  local mailbox = holders.mailbox(id)
  if #mailbox.letters >= MAILBOX_MAX or mailbox.has[letter] then
    return false
  end
  mailbox.letters[#mailbox.letters + 1] = letter
  mailbox.has[letter] = true
  lists.append('mail:' .. id, letter)
  return true
end

-- Letters up to the one numbered `through` have come.
function holders.has_seen(id, holder, through)
  local mailbox = holders.mailbox(id)
  local count = math.min(math.max(through - holder.mail_seen, 0), #mailbox.letters)
  if count > 0 then
    local rest, has = {}, {}
    for position = count + 1, #mailbox.letters do
      rest[#rest + 1] = mailbox.letters[position]
      has[mailbox.letters[position]] = true
    end
    mailboxes[id] = { letters = rest, has = has }
    lists.drop('mail:' .. id, count)
    holder.mail_seen = holder.mail_seen + count
  end
end

function holders.forget_mail(id)
  lists.drop('mail:' .. id, #holders.mailbox(id).letters)
  mailboxes[id] = { letters = {}, has = {} }
end

-- The holder's record numbered `own` is in the ledger once the stream has reached it up to
-- `streamed`; `acknowledged` is how far the ledger is.
function holders.recorded(holder_id, holder, own, streamed, acknowledged)
  if own <= holder.record then
    return
  end
  holder.record = own
  if streamed <= acknowledged then
    holder.records_acknowledged = own
  else
    lists.append('own-records:' .. holder_id, cmsgpack.pack({ own, streamed }))
  end
end

-- The ledger has all records of the stream up to and including this one.
function holders.acknowledge(through)
  for id, holder in pairs(holders.all()) do
    local key, count, is_done = prefix .. 'own-records:' .. id, 0, not holder
    while not is_done do
      local packed = redis.call('LRANGE', key, text(count), text(count + OWN_RECORDS_READ - 1))
      is_done = #packed == 0
      for _, one in ipairs(packed) do
        local own, streamed = unpack(cmsgpack.unpack(one))
        if streamed > through then
          is_done = true
          break
        end
        holder.records_acknowledged = own
        count = count + 1
      end
    end
    if count > 0 then
      lists.drop('own-records:' .. id, count)
      holders.changed(id)
    end
  end
end
