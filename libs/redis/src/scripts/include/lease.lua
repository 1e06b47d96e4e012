-- A lease that holds by Redis's clock, or nil. One that has run out is forgotten. One that ends further ahead than it lasts was
-- written before the clock stepped back: it ends when it would if it were renewed now.
local function readLease(documents, expiries, name, nowMs)
  local stored = redis.call('HGET', documents, name)
  if not stored then
    return nil
  end
  local epoch, token, since, json = string.match(stored, '^(%d+)|(%d+)|(%d+)|(.*)$')
  local document = cjson.decode(json)
  local endsMs = tonumber(redis.call('ZSCORE', expiries, name) or '0')
  if endsMs <= nowMs then
    redis.call('HDEL', documents, name)
    redis.call('ZREM', expiries, name)
    return nil
  end
  if endsMs > nowMs + document.ttlMs then
    endsMs = nowMs + document.ttlMs
    redis.call('ZADD', expiries, endsMs, name)
  end
  return { epoch = epoch, token = token, since = since, holder = document.holder, leftMs = endsMs - nowMs }
end

local function nowInMs()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end
