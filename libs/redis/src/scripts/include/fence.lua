-- The next fencing token, for whatever it fences: one counter for all of them. It begins at Redis's clock in microseconds, so that
-- a Redis that lost everything does not begin below what it had given out.
local function nextToken(meta)
  if redis.call('HEXISTS', meta, 'fence') == 0 then
    local now = redis.call('TIME')
    redis.call('HSET', meta, 'fence', string.format('%.0f', now[1] * 1000000 + now[2]))
  end
  return redis.call('HINCRBY', meta, 'fence', 1)
end
