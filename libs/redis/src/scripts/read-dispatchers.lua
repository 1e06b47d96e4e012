-- Who has told about itself, how long ago, and what?
--
-- KEYS: 1 beats  2 states or drains  3 catalog meta
-- ARGV: 1 ms of silence after which one is forgotten  2 most dispatchers to return
-- Returns: { epoch of the catalog, id, ms since it was heard, document or '', ... }, those heard last first
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local from = string.format('%.0f', nowMs - ARGV[1])
local beats = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', from, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local heard = { tonumber(redis.call('HGET', KEYS[3], 'epoch') or '0') }
for i = 1, #beats, 2 do
  heard[#heard + 1] = beats[i]
  heard[#heard + 1] = nowMs - beats[i + 1]
  heard[#heard + 1] = redis.call('HGET', KEYS[2], beats[i]) or ''
end
return heard
