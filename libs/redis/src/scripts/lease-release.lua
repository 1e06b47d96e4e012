-- Gives a lease back before it runs out, on its holder's wish. One that nobody holds counts as given back.
--
-- KEYS: 1 catalog meta  2 lease documents  3 lease expiries
-- ARGV: 1 name  2 holder  3 token that must be the present one, or ""
-- Returns: { "released" } | { "held", holder, ms left } | { "stale", token, holder } | { "unclaimed" }
--@include claim
--@include lease
if not claimed(KEYS[1]) then
  return { 'unclaimed' }
end
local lease = readLease(KEYS[2], KEYS[3], ARGV[1], nowInMs())
if lease and lease.holder ~= ARGV[2] then
  return { 'held', lease.holder, lease.leftMs }
end
if lease and ARGV[3] ~= '' and ARGV[3] ~= lease.token then
  return { 'stale', lease.token, lease.holder }
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return { 'released' }
