-- Moves the deadlines of living instances. The catalog is not touched: work is O(changes), not O(heartbeats).
--
-- KEYS: 1 deadlines  2 ttls
-- ARGV: members
-- Returns: the members that are not known; their owners register again
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local ttls = redis.call('HMGET', KEYS[2], unpack(ARGV))
local moves, unknown = {}, {}
for i, member in ipairs(ARGV) do
  if ttls[i] then
    moves[#moves + 1] = nowMs + tonumber(ttls[i])
    moves[#moves + 1] = member
  else
    unknown[#unknown + 1] = member
  end
end
if #moves > 0 then
  redis.call('ZADD', KEYS[1], unpack(moves))
end
return unknown
