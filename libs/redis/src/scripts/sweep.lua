-- What does a monitor see right now? Takes or keeps the lease, and reads the deadlines that have passed since it looked last.
--
-- Guarantee: at most one holder at a time by Redis's clock; the token grows with each change of holder, so that a holder
--   that stalled past its lease is refused by commit.lua. A Redis that may have forgotten the last token grants none before the
--   next epoch has begun. Work is O(changes): what was returned once is not returned again.
-- A clock that stepped back: deadlines and leases from before would hold for as long as the step, so the leader pulls deadlines
--   back to a time to live from now, and a lease that ends far later than any is taken for none.
-- KEYS: 1 lease  2 its fencing token  3 deadlines  4 ttls  5 last sweep  6 catalog meta
-- ARGV: 1 holder  2 lease ms  3 most passed deadlines to return  4 cursor: deadlines up to here are known, "-inf" for none
--       5 ms from now within which a deadline counts as late  6 when the caller swept last, ms on this clock; 0 for never
--       7.. members whose deadlines are asked for
-- Returns: { leader (1 or 0), token, now ms, known instances, late instances, new cursor,
--            { member, deadline ms, ttl ms, ... } passed since the cursor, { deadline ms or "", ... } of those asked for }
--@include claim
--@include fence
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local function text(ms)
  return string.format('%.0f', ms)
end

local holder = redis.call('GET', KEYS[1])
-- ten times what this one asks for, and never less than 10 s: others may ask for more
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) > math.max(10 * ARGV[2], 10000) then
  holder = false
end
local leader = 0
if holder == ARGV[1] or (not holder and claimed(KEYS[6])) then
  leader = 1
  local token = holder and redis.call('GET', KEYS[2]) or text(nextToken(KEYS[6]))
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('SET', KEYS[2], token, 'PX', ARGV[2])
end

if leader == 1 then
  -- the caller may know more than a Redis that has just been wiped
  local swept = math.max(tonumber(redis.call('GET', KEYS[5]) or '0'), tonumber(ARGV[6]))
  if nowMs < swept then
    -- two times 500 ms, the shortest time to live
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], text(nowMs + 1000), '+inf')) do
      local ttl = tonumber(redis.call('HGET', KEYS[4], member) or '3000')
      if tonumber(redis.call('ZSCORE', KEYS[3], member)) > nowMs + 2 * ttl then
        redis.call('ZADD', KEYS[3], text(nowMs + ttl), member)
      end
    end
  end
  -- twice a second: no deadline can lie far ahead by a smaller step
  if nowMs < swept or nowMs - swept >= 500 then
    redis.call('SET', KEYS[5], text(nowMs))
  end
end

local from = ARGV[4] == '-inf' and '-inf' or '(' .. ARGV[4]
local page = redis.call('ZRANGEBYSCORE', KEYS[3], from, text(nowMs), 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local passed, cursor = {}, nowMs
local function add(member, deadline)
  passed[#passed + 1] = member
  passed[#passed + 1] = deadline
  passed[#passed + 1] = redis.call('HGET', KEYS[4], member) or '3000'
end
local isFull = #page == 2 * tonumber(ARGV[3])
if isFull then
  cursor = tonumber(page[#page])
end
for i = 1, #page, 2 do
  if not isFull or tonumber(page[i + 1]) < cursor then
    add(page[i], page[i + 1])
  end
end
if isFull then
  -- the next look begins after this millisecond, so all of it comes now
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], text(cursor), text(cursor))) do
    add(member, text(cursor))
  end
end

local asked = {}
for i = 7, #ARGV do
  asked[#asked + 1] = redis.call('ZSCORE', KEYS[3], ARGV[i]) or ''
end
local late = redis.call('ZCOUNT', KEYS[3], '-inf', text(nowMs + ARGV[5]))
return { leader, tonumber(redis.call('GET', KEYS[2]) or '0'), nowMs, redis.call('ZCARD', KEYS[3]), late, cursor, passed, asked }
