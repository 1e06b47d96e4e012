-- Moves the deadlines of living instances. The catalog is not touched: work is O(changes), not O(heartbeats).
--
-- KEYS: 1 deadlines  2 ttls
-- ARGV: members
-- Returns: the members that are not known; their owners register again
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local ttls = redis.call('HMGET', KEYS[2], unpack(ARGV))
local moves = {}
for i, member in ipairs(ARGV) do
  -- the usual time to live is not kept
  moves[2 * i - 1] = nowMs + (ttls[i] or 3000)
  moves[2 * i] = member
end
-- those that are not there, and those that beat in this very millisecond before, are not counted
if redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(moves)) == #ARGV then
  return {}
end
local unknown = {}
for i, deadline in ipairs(redis.call('ZMSCORE', KEYS[1], unpack(ARGV))) do
  if not deadline then
    unknown[#unknown + 1] = ARGV[i]
  end
end
return unknown
