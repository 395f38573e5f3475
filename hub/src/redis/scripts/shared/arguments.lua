-- The one argument of a script: a packed list, every value of which is checked before anything is
-- read or written. A letter of a shape stands for one value:
--   b bytes   n whole number, not negative   i whole number   f flag   l list, checked by its reader

local TICK_MAX = 9007199254740991

local function whole(value)
  return type(value) == 'number' and value % 1 == 0 and value <= TICK_MAX and value >= -TICK_MAX
end

local function fits(kind, value)
  local is = type(value)
  if kind == 'b' then
    return is == 'string'
  elseif kind == 'l' then
    return is == 'table'
  elseif kind == 'f' then
    return is == 'boolean'
  end
  return whole(value) and (kind == 'i' or value >= 0)
end

local function malformed(what)
  error('ringfence: malformed ' .. what, 0)
end

-- `list` if it is as `shape` says.
local function checked(list, shape, what)
  if type(list) ~= 'table' or #list ~= #shape then
    malformed(what)
  end
  for position = 1, #shape do
    if not fits(string.sub(shape, position, position), list[position]) then
      malformed(what)
    end
  end
  return list
end

-- As `checked`, of each list in a list.
local function all_checked(lists, shape, what)
  if type(lists) ~= 'table' then
    malformed(what)
  end
  for _, list in ipairs(lists) do
    checked(list, shape, what)
  end
  return lists
end

local function sized(bytes, size, what)
  if type(bytes) ~= 'string' or #bytes ~= size then
    malformed(what)
  end
  return bytes
end

local ACCOUNT_BYTES, HOLDER_BYTES, IDENTITY_BYTES = 17, 16, 16

local function argument()
  if #KEYS ~= 2 or #ARGV ~= 1 or string.sub(shard_key, -6) ~= ':shard' then
    malformed('call of a script')
  end
  local is_packed, list = pcall(cmsgpack.unpack, ARGV[1])
  if not is_packed then
    malformed('argument')
  end
  return list
end
