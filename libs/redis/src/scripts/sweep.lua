-- What does a monitor see right now? Takes or keeps the lease, and reads the deadlines that have passed.
--
-- Guarantee: at most one holder at a time by Redis's clock; the token grows with each change of holder, so that a holder
--   that stalled past its lease is refused by commit.lua.
-- KEYS: 1 lease  2 fence counter  3 deadlines  4 ttls
-- ARGV: 1 holder  2 lease ms  3 most members to return  4.. suspects whose deadlines are asked for
-- Returns: { leader (1 or 0), token, now ms, known instances, { member, deadline ms, ttl ms, ... } passed,
--            { member, deadline ms, ... } suspects whose deadline lies ahead again }
local holder = redis.call('GET', KEYS[1])
local leader = 0
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('INCR', KEYS[2])
  leader = 1
elseif holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  leader = 1
end
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local passed = {}
local late = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', nowMs), 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #late, 2 do
  passed[#passed + 1] = late[i]
  passed[#passed + 1] = late[i + 1]
  passed[#passed + 1] = redis.call('HGET', KEYS[4], late[i]) or '3000'
end
local back = {}
for i = 4, #ARGV do
  local deadline = redis.call('ZSCORE', KEYS[3], ARGV[i])
  if deadline and tonumber(deadline) > nowMs then
    back[#back + 1] = ARGV[i]
    back[#back + 1] = deadline
  end
end
return { leader, tonumber(redis.call('GET', KEYS[2]) or '0'), nowMs, redis.call('ZCARD', KEYS[3]), passed, back }
