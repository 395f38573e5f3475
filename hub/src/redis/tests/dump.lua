-- Everything that lies in the shard, as it lies there, and the names of all keys.

local prefix = string.sub(KEYS[1], 1, -#'shard' - 1)

local function read(command, name, ...)
  return redis.call(command, prefix .. name, ...)
end

local holders, holder_parts = read('HGETALL', 'holders'), {}
for position = 1, #holders, 2 do
  local id = holders[position]
  holder_parts[#holder_parts + 1] = {
    read('LRANGE', 'mail:' .. id, 0, -1), read('LRANGE', 'own-records:' .. id, 0, -1),
    read('SMEMBERS', 'calls-of:' .. id), read('SMEMBERS', 'counters-of:' .. id),
    read('SMEMBERS', 'wallets-of:' .. id),
  }
end
local organizations, above_floor = read('HGETALL', 'organizations'), {}
for position = 1, #organizations, 2 do
  above_floor[#above_floor + 1] = read('ZRANGE', 'above-floor:' .. organizations[position], 0, -1)
end
local live_of, start = {}, #prefix + #'live-of:' + 1
for _, key in ipairs(redis.call('KEYS', prefix .. 'live-of:*')) do
  live_of[#live_of + 1] = string.sub(key, start)
  live_of[#live_of + 1] = redis.call('ZRANGE', key, 0, -1)
end
return {
  read('HGETALL', 'shard'), holders, holder_parts, organizations, above_floor,
  read('HGETALL', 'counters'), read('HGETALL', 'caps'), read('HGETALL', 'wallets'),
  read('ZRANGE', 'anonymous', 0, -1, 'WITHSCORES'), read('HGETALL', 'calls'), live_of,
  read('ZRANGE', 'orphans', 0, -1, 'WITHSCORES'), read('LRANGE', 'tombstones', 0, -1),
  read('LRANGE', 'records', 0, -1), redis.call('KEYS', '*'),
}
