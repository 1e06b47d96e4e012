-- Answers to checks keep instances alive that have no heartbeats of their own, be the next check further away than their time to
-- live. Whoever beats by itself is known by its deadline: it is another than the one that was left here.
--
-- KEYS: 1 deadlines  2 ttls
-- ARGV: for each instance: member, ms until its next answer is overdue, deadline left here before ("" none)
-- Returns: its deadline now for each instance, as a string; "" for one that is not known
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local deadlines = {}
for i = 1, #ARGV, 3 do
  local held = redis.call('ZSCORE', KEYS[1], ARGV[i])
  -- the usual time to live is not kept
  local ttl = redis.call('HGET', KEYS[2], ARGV[i]) or held and '3000'
  if ttl then
    local beats = ARGV[i + 2] ~= '' and (not held or tonumber(held) ~= tonumber(ARGV[i + 2]))
    local reachMs = beats and tonumber(ttl) or math.max(tonumber(ttl), tonumber(ARGV[i + 1]))
    local deadline = math.max(nowMs + reachMs, beats and tonumber(held or '0') or 0)
    redis.call('ZADD', KEYS[1], deadline, ARGV[i])
    deadlines[#deadlines + 1] = string.format('%.0f', deadline)
  else
    deadlines[#deadlines + 1] = ''
  end
end
return deadlines
