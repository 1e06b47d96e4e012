-- A dispatcher tells about itself. Those that were silent for too long are forgotten by whoever tells next.
--
-- KEYS: 1 beats  2 states  3 drains
-- ARGV: 1 id  2 ms of silence after which one is forgotten  3 most dispatchers  4 state or ''  5 drains or ''
-- Returns: 1, or 0 when there are too many others already and nothing was written
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local silent = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', nowMs - ARGV[2]), 'LIMIT', 0, 100)
-- A beat that lies ahead was written by the clock of another Redis; its dispatcher beats again within a second.
local ahead = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', nowMs + 2000), '+inf', 'LIMIT', 0, 100)
for _, ids in ipairs({ silent, ahead }) do
  for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('HDEL', KEYS[3], id)
  end
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], string.format('%.0f', nowMs), ARGV[1])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[5])
end
for i = 1, 3 do
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 1
