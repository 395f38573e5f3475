-- A control plane has a report: it is removed, unless there is another one of its reporter by now.
--
-- Arguments: reporter, report. Answer: nothing.

local key = string.sub(KEYS[1], 1, -#'shard' - 1) .. 'reports'
if redis.call('HGET', key, ARGV[1]) == ARGV[2] then
  redis.call('HDEL', key, ARGV[1])
end
return 0
