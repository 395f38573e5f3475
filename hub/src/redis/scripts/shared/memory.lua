-- The shard's memory as one unit of work: what is read is kept, what changes is written at the end
-- by `commit` and nowhere else. An error before that has written nothing, and `commit` is only made
-- of commands that cannot fail on keys of their own types. Reads no clock.

local PROTOCOL = '1'
-- First element of every answer.
local APPLIED, UNSEALED, OTHER_PROTOCOL = 0, 1, 2
local U32_MAX = 4294967295
-- Values of one command: Lua cannot pass many more at once.
local VALUES_MAX = 1000
-- Of a server's id, and of its data's.
local SEAL_DIGITS = 40

local shard_key = KEYS[1]
-- All keys of a shard begin alike, with its hash tag.
local prefix = string.sub(shard_key, 1, -#'shard' - 1)

local function text(number)
  return string.format('%.0f', number)
end

-- Calls `command` on `key` with all `values`, in parts.
local function in_parts(command, key, values)
  for first = 1, #values, VALUES_MAX do
    redis.call(command, key, unpack(values, first, math.min(first + VALUES_MAX - 1, #values)))
  end
end

-- What runs at the end, in this order, after the hashes.
local writers, hashes = {}, {}

-- A hash of packed tables. Whoever changes what `get` returned says so by `put`.
local Hash = {}
Hash.__index = Hash

local function packed_hash(name)
  local hash = setmetatable({ key = prefix .. name, known = {}, changed = {} }, Hash)
  hashes[#hashes + 1] = hash
  return hash
end

function Hash:get(field)
  local value = self.known[field]
  if value == nil then
    local packed = redis.call('HGET', self.key, field)
    value = packed and cmsgpack.unpack(packed)
    self.known[field] = value
  end
  return value or nil
end

-- Reads many at once, those that are not known yet.
function Hash:load(fields)
  local known, unknown = self.known, {}
  for _, field in ipairs(fields) do
    if known[field] == nil then
      known[field] = false
      unknown[#unknown + 1] = field
    end
  end
  for first = 1, #unknown, VALUES_MAX do
    local last = math.min(first + VALUES_MAX - 1, #unknown)
    local values = redis.call('HMGET', self.key, unpack(unknown, first, last))
    for position, packed in ipairs(values) do
      known[unknown[first + position - 1]] = packed and cmsgpack.unpack(packed)
    end
  end
end

-- Reads all: field → value, `false` where there is none.
function Hash:all()
  local known = self.known
  if self.is_read then
    return known
  end
  self.is_read = true
  local values = redis.call('HGETALL', self.key)
  for position = 1, #values, 2 do
    if known[values[position]] == nil then
      known[values[position]] = cmsgpack.unpack(values[position + 1])
    end
  end
  return known
end

-- `false` removes.
function Hash:put(field, value)
  self.known[field], self.changed[field] = value, true
end

function Hash:write()
  local put, removed = {}, {}
  for field in pairs(self.changed) do
    local value = self.known[field]
    if value then
      put[#put + 1] = field
      put[#put + 1] = cmsgpack.pack(value)
    else
      removed[#removed + 1] = field
    end
  end
  in_parts('HDEL', self.key, removed)
  in_parts('HSET', self.key, put)
end

local function commit()
  for _, hash in ipairs(hashes) do
    if next(hash.changed) then
      hash:write()
    end
  end
  for _, write in ipairs(writers) do
    write()
  end
end

-- Sets, or sorted sets: by key, which of their members come (with `true`, or a score) and which go.
local function collections(remove, add)
  local changes = {}
  local collection = {}

  function collection.put(name, member, score)
    local key = prefix .. name
    changes[key] = changes[key] or {}
    changes[key][member] = score
  end

  -- The changes of one collection: member → `false` or what came; nil when there are none.
  function collection.changes(name)
    return changes[prefix .. name]
  end

  writers[#writers + 1] = function()
    for key, members in pairs(changes) do
      local added, removed = {}, {}
      for member, score in pairs(members) do
        if not score then
          removed[#removed + 1] = member
        else
          if score ~= true then
            added[#added + 1] = text(score)
          end
          added[#added + 1] = member
        end
      end
      in_parts(remove, key, removed)
      in_parts(add, key, added)
    end
  end
  return collection
end

-- Lists, which lose items at the front and get items at the back.
local lists = { dropped = {}, appended = {} }

function lists.drop(name, count)
  local key = prefix .. name
  lists.dropped[key] = (lists.dropped[key] or 0) + count
end

function lists.append(name, item)
  local key = prefix .. name
  local items = lists.appended[key] or {}
  items[#items + 1] = item
  lists.appended[key] = items
end

-- Keys of a holder that is gone, whatever else was to be written there.
local gone = {}

writers[#writers + 1] = function()
  for key, count in pairs(lists.dropped) do
    redis.call('LTRIM', key, text(count), '-1')
  end
  for key, items in pairs(lists.appended) do
    in_parts('RPUSH', key, items)
  end
end

local holders_of = packed_hash('holders')
local organizations_of = packed_hash('organizations')
local counters_of = packed_hash('counters')
local caps_of = packed_hash('caps')
local wallets_of = packed_hash('wallets')
local calls_of = packed_hash('calls')
local sets = collections('SREM', 'SADD')
local sorted = collections('ZREM', 'ZADD')

-- The members of a set as they are now: member → true.
local function members_of(name)
  local members = {}
  for _, member in ipairs(redis.call('SMEMBERS', prefix .. name)) do
    members[member] = true
  end
  for member, came in pairs(sets.changes(name) or {}) do
    members[member] = came or nil
  end
  return members
end

-- Numbers of the shard itself. Until when it learns, at least and at most, is empty when it does not.
local NUMBERS = {
  'incarnation', 'clock_ms', 'call_lease_s', 'overshoot', 'last_record',
  'publication', 'revision', 'directory_floor',
  'learning_at_least_until_ms', 'learning_at_most_until_ms',
}
-- So many of them are never empty.
local NEVER_EMPTY = 8
local shard = {
  incarnation = 0, clock_ms = 0, call_lease_s = 0, overshoot = 0, last_record = 0,
  publication = 0, revision = 0, directory_floor = 0, protocol = '', seal = '',
}
-- What is stored of it: `protocol` and `seal`, then the numbers.
local stored

local must_wake = false

-- Others must act soon: who waits for the shard's news hears it when this call is done.
local function wake()
  must_wake = true
end

-- Runs last: what is gone is gone.
local function finish()
  commit()
  for _, key in ipairs(gone) do
    redis.call('DEL', key)
  end
  local changed = {}
  for position, name in ipairs(NUMBERS) do
    local number, before = shard[name], stored[position + 2]
    if not before or number ~= tonumber(before) then
      changed[#changed + 1] = name
      changed[#changed + 1] = number and text(number) or ''
    end
  end
  for position, name in ipairs({ 'protocol', 'seal' }) do
    if shard[name] ~= stored[position] then
      changed[#changed + 1] = name
      changed[#changed + 1] = shard[name]
    end
  end
  in_parts('HSET', shard_key, changed)
  if must_wake then
    -- A hint: what is done stays done where it cannot be given.
    redis.pcall('SPUBLISH', prefix .. 'wake', '')
  end
end

-- The digits that the server gives after a name, by a plain search: patterns are much slower.
local function told(section, name)
  local lines = redis.call('INFO', section)
  local _, last = string.find(lines, name, 1, true)
  return string.sub(lines, last + 1, last + SEAL_DIGITS)
end

-- Which server this is, and which history its data has: another after a restart or a failover.
local function server_seal()
  return told('server', '\nrun_id:') .. told('replication', '\nmaster_replid:')
end

-- Reads the shard's numbers. Returns the answer when nothing may be applied: its memory is of
-- another version, or was begun on another server (rule 3).
local function open(is_begin)
  stored = redis.call('HMGET', shard_key, 'protocol', 'seal', unpack(NUMBERS))
  for position, name in ipairs(NUMBERS) do
    shard[name] = tonumber(stored[position + 2]) or position <= NEVER_EMPTY and 0 or nil
  end
  if stored[1] and stored[1] ~= PROTOCOL then
    return { OTHER_PROTOCOL, stored[1] }
  end
  local seal = server_seal()
  if not is_begin and stored[2] ~= seal then
    return { UNSEALED }
  end
  shard.protocol, shard.seal = PROTOCOL, seal
  return nil
end

local function second_of(ms)
  return math.floor(ms / 1000)
end

-- The first whole second not before.
local function second_after(ms)
  return math.floor((ms + 999) / 1000)
end
