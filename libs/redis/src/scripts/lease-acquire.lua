-- Takes a lease that nobody holds, or renews one that the caller holds.
--
-- Guarantee: by Redis's clock at most one holder at a time; each new holder, and each holder after an epoch began, gets a token above
--   all that were given out. A token of an earlier epoch is not renewed: this Redis may have forgotten who came after it.
-- KEYS: 1 catalog meta  2 lease documents  3 lease expiries
-- ARGV: 1 name  2 holder  3 ttl ms  4 token that must be the present one, or ""  5 document  6 most leases
-- Returns: { "acquired" | "renewed", token, since ms } | { "held", holder, ms left } | { "stale", token or "0", holder or "" }
--          | { "full" } | { "unclaimed" }
--@include claim
--@include fence
--@include lease
local COLLECTED = 100
if not claimed(KEYS[1]) then
  return { 'unclaimed' }
end
local nowMs = nowInMs()
local over = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', nowMs), 'LIMIT', 0, COLLECTED)
if #over > 0 then
  redis.call('ZREM', KEYS[3], unpack(over))
  redis.call('HDEL', KEYS[2], unpack(over))
end

local lease = readLease(KEYS[2], KEYS[3], ARGV[1], nowMs)
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local isOwn = lease and lease.holder == ARGV[2]
local isCurrent = isOwn and lease.epoch == epoch
if ARGV[4] ~= '' and not (isCurrent and lease.token == ARGV[4]) then
  return { 'stale', lease and lease.token or '0', lease and lease.holder or '' }
end
if lease and not isOwn then
  return { 'held', lease.holder, lease.leftMs }
end
if not lease and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then
  return { 'full' }
end

local outcome, token, since = 'renewed', nil, nil
if isCurrent then
  token, since = lease.token, lease.since
else
  outcome, token, since = 'acquired', string.format('%.0f', nextToken(KEYS[1])), string.format('%.0f', nowMs)
end
redis.call('HSET', KEYS[2], ARGV[1], epoch .. '|' .. token .. '|' .. since .. '|' .. ARGV[5])
redis.call('ZADD', KEYS[3], nowMs + tonumber(ARGV[3]), ARGV[1])
return { outcome, token, since }
