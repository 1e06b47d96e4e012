-- Does this token still hold the lease? Not when it is from an earlier epoch: this Redis may have forgotten who came after it.
--
-- KEYS: 1 catalog meta  2 lease documents  3 lease expiries
-- ARGV: 1 name  2 token
-- Returns: { "valid", holder, ms left } | { "stale", token or "0", holder or "" } | { "unclaimed" }
--@include claim
--@include lease
if not claimed(KEYS[1]) then
  return { 'unclaimed' }
end
local lease = readLease(KEYS[2], KEYS[3], ARGV[1], nowInMs())
if lease and lease.token == ARGV[2] and lease.epoch == redis.call('HGET', KEYS[1], 'epoch') then
  return { 'valid', lease.holder, lease.leftMs }
end
return { 'stale', lease and lease.token or '0', lease and lease.holder or '' }
