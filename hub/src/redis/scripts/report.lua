-- Leaves a gateway's report of statistics for the control planes. No part of the shard's memory: it
-- outlives a seal that does not fit, and nothing else looks at it.
--
-- Arguments: reporter, report, how many reporters at most. Answer: 1, or 0 when the reporter's report
-- before this one still waits, or too many do.

local key = string.sub(KEYS[1], 1, -#'shard' - 1) .. 'reports'
local reporter, report, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local waiting = redis.call('HGET', key, reporter)
if waiting then
  return waiting == report and 1 or 0
end
if redis.call('HLEN', key) >= most then
  return 0
end
redis.call('HSET', key, reporter, report)
return 1
