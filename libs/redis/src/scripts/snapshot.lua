-- Reads the whole catalog at one revision.
--
-- KEYS: 1 catalog meta  2 instances  3 services  4 routes
-- Returns: { epoch, revision, instances, services, routes, claimed (1 or 0) }, the three as flat { key, "<revision>|<document>", ... }
--@include claim
return {
  tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0'),
  tonumber(redis.call('HGET', KEYS[1], 'revision') or '0'),
  redis.call('HGETALL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('HGETALL', KEYS[4]),
  claimed(KEYS[1]) and 1 or 0,
}
