-- Caps beside those of accounts: how many live calls name each. They are not leased to holders: a call that
-- names one is recorded here before anybody is told of it (rule 17). A call's caps are one string, an id
-- after the other.

local caps = {}

local CAP_BYTES = 8

-- A call that an earlier version recorded has none.
local function each(ids)
  ids = ids or ''
  local position = 1 - CAP_BYTES
  return function()
    position = position + CAP_BYTES
    if position <= #ids then
      return string.sub(ids, position, position + CAP_BYTES - 1), (position - 1) / CAP_BYTES
    end
  end
end

-- One that is neither configured nor named by a call leaves no trace.
local function put(id, cap)
  caps_of:put(id, (cap.version > 0 or cap.live > 0) and cap)
end

-- `most` is negative when unlimited; what never limited anything leaves no trace.
function caps.configure(id, version, most)
  local cap = caps_of:get(id)
  if not cap and most < 0 then
    return
  end
  cap = cap or { version = 0, most = -1, live = 0 }
  if version >= cap.version then
    cap.version, cap.most = version, most
  end
  put(id, cap)
end

function caps.remove(id)
  local cap = caps_of:get(id)
  if cap then
    cap.version, cap.most = 0, -1
    put(id, cap)
  end
end

-- The position of the first cap that no further call may name, and its limit.
function caps.full(ids)
  for id, position in each(ids) do
    local cap = caps_of:get(id)
    if cap and cap.most >= 0 and cap.live >= cap.most then
      return position, cap.most
    end
  end
  return nil
end

function caps.goes_live(ids)
  for id in each(ids) do
    local cap = caps_of:get(id) or { version = 0, most = -1, live = 0 }
    cap.live = cap.live + 1
    put(id, cap)
  end
end

function caps.ends(ids)
  for id in each(ids) do
    local cap = caps_of:get(id)
    if cap then
      cap.live = math.max(cap.live - 1, 0)
      put(id, cap)
    end
  end
end
