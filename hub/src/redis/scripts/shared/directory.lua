-- The shard's directory: what gateways know of its organizations, accounts and keys. A hash of entries:
-- name → the number of the publication it came with, and the bytes of its change, into which no script
-- looks. What is gone is an entry too. Beside it stands which entries changed lately.
--
-- Publications may come out of order, so readers count by revisions of their own: each that changes
-- anything is one. An entry below the floor came before the whole was published anew, and does not count.

local ENTRY_NUMBER = '>I8'
-- Changes after which a reader reads only what changed, at most.
local RECENT_MAX = 1000
-- Entries of one page, about.
local PAGE = 500

local directory = {}

local entries_key, recent_key = prefix .. 'directory', prefix .. 'recent'
local put, recent, is_anew = {}, {}, false

local function number_of(bytes)
  return (struct.unpack(ENTRY_NUMBER, bytes))
end

-- The values of these names, in order.
function directory.values(names)
  local values = {}
  for first = 1, #names, VALUES_MAX do
    local last = math.min(first + VALUES_MAX - 1, #names)
    for _, value in ipairs(redis.call('HMGET', entries_key, unpack(names, first, last))) do
      values[#values + 1] = value
    end
  end
  return values
end

-- Replaces entries that came with a lower number, or the same. One that says nothing new stays as it is.
function directory.put(number, entries)
  local names = {}
  for position, entry in ipairs(entries) do
    names[position] = entry[1]
  end
  local stored = directory.values(names)
  for position, entry in ipairs(entries) do
    local name, value = entry[1], struct.pack(ENTRY_NUMBER, number) .. entry[2]
    local before = put[name] or stored[position]
    local least = math.max(before and number_of(before) or 0, shard.directory_floor)
    if number >= least and value ~= before then
      recent[#recent + 1] = not put[name] and name or nil
      put[name] = value
    end
  end
end

function directory.is_published(number)
  shard.publication = math.max(shard.publication, number)
  if #recent > 0 and shard.revision > 0 then
    shard.revision = shard.revision + 1
  end
end

-- All was published anew: what came with a lower number is gone, and every reader reads the whole.
function directory.is_whole(number)
  shard.publication = math.max(shard.publication, number)
  shard.directory_floor = math.max(shard.directory_floor, number)
  shard.revision = shard.revision + 1
  is_anew = true
end

-- Nothing counts until all was published anew.
function directory.forget()
  shard.publication, shard.revision, shard.directory_floor = 0, 0, 0
end

-- The last publication; 0 before the whole was published.
function directory.publication()
  return shard.revision > 0 and shard.publication or 0
end

local function item(name)
  return struct.pack(ENTRY_NUMBER, shard.revision) .. name
end

writers[#writers + 1] = function()
  local values, items = {}, {}
  for name, value in pairs(put) do
    values[#values + 1] = name
    values[#values + 1] = value
  end
  in_parts('HSET', entries_key, values)
  if is_anew then
    -- Where the list begins, a name that nothing has.
    redis.call('DEL', recent_key)
    redis.call('RPUSH', recent_key, item(''))
  elseif #recent > 0 and shard.revision > 0 then
    for position, name in ipairs(recent) do
      items[position] = item(name)
    end
    in_parts('RPUSH', recent_key, items)
    redis.call('LTRIM', recent_key, text(-RECENT_MAX), '-1')
  end
end

-- Names of entries that changed after a revision; nil when the list does not reach back to it: the
-- changes of its first item's revision may be there in part.
function directory.changed_after(revision)
  local first = redis.call('LINDEX', recent_key, '0')
  if not first or number_of(first) > revision then
    return nil
  end
  local names, is_named = {}, {}
  for _, one in ipairs(redis.call('LRANGE', recent_key, '0', '-1')) do
    local name = string.sub(one, 9)
    if number_of(one) > revision and not is_named[name] then
      names[#names + 1], is_named[name] = name, true
    end
  end
  return names
end

-- A page of entries, names and values in turn, and the cursor of the next; `0`: it was the last.
function directory.page(cursor)
  if not string.find(cursor, '^%d+$') then
    malformed('cursor')
  end
  return unpack(redis.call('HSCAN', entries_key, cursor, 'COUNT', text(PAGE)))
end

-- Drops the entries of a page that do not count. The cursor of the next.
function directory.sweep(cursor)
  local next, entries = directory.page(cursor)
  local gone = {}
  for position = 1, #entries, 2 do
    if number_of(entries[position + 1]) < shard.directory_floor then
      gone[#gone + 1] = entries[position]
    end
  end
  in_parts('HDEL', entries_key, gone)
  return next
end
