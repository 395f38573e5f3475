-- Reads reports that wait for a control plane, until they have so many bytes. Writes nothing.
--
-- Arguments: bytes. Answer: the reports.

local key = string.sub(KEYS[1], 1, -#'shard' - 1) .. 'reports'
local bytes, reports = tonumber(ARGV[1]), {}
for _, reporter in ipairs(redis.call('HKEYS', key)) do
  if bytes <= 0 then
    break
  end
  local report = redis.call('HGET', key, reporter)
  reports[#reports + 1] = report
  bytes = bytes - #report
end
return reports
