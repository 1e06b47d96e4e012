-- Gives a lease back, if it is still the caller's.
--
-- KEYS: 1 lease
-- ARGV: 1 holder
-- Returns: 1 when it was given back, else 0
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
