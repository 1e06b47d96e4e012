-- Begins the next epoch when this Redis may know less than its readers: it is another process than the one that gave the
-- last revisions out (restart, failover, restore), it was wiped, or it is behind a reader. What it has lost and the caller still
-- knows is written back in the same step, so no reader sees the catalog without it.
--
-- Guarantee: at most one caller raises for one change of process; afterwards epoch, revision and fence counter are above everything
--   that the caller has seen, so none is given out twice. A document is only written back over an older one, or over none.
-- KEYS: 1 catalog meta  2 events  3 instances  4 services  5 routes  6 deadlines  7 ttls  8 seeded
-- ARGV: 1 epoch and 2 revision that the caller has seen  3 step to jump over what others have seen
--       4 event tail (JSON that begins with "{")  5 channel  6 longest stream  7 epoch to begin with
--       8 JSON: what the caller knows { instance | service | route: [[key, revision, document, ttl ms or ""]] }; "" only looks
-- Returns: { "raised", epoch, revision, written back } | { "needed", epoch, revision } | { "fine", epoch, revision }
--@include claim
--@include event
-- More grants than a failover can lose. Tokens begin at the clock in microseconds, so this is 131 ms: no catalog lives shorter.
local LOST_TOKENS = 131072
local isClaimed = claimed(KEYS[1])
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
local seenEpoch, seenRevision = tonumber(ARGV[1]), tonumber(ARGV[2])
local behind = epoch < seenEpoch or (epoch == seenEpoch and revision < seenRevision)
if isClaimed and not behind then
  return { 'fine', epoch, revision }
end
if ARGV[8] == '' then
  return { 'needed', epoch, revision }
end

local writtenBack = 0
-- Somebody who went on with the catalog already, or who put an old state there on purpose, is not corrected.
if not isClaimed and redis.call('HEXISTS', KEYS[1], 'restored') == 0 then
  local now = redis.call('TIME')
  local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
  local hashes = { instance = KEYS[3], service = KEYS[4], route = KEYS[5] }
  for kind, documents in pairs(cjson.decode(ARGV[8])) do
    for _, known in ipairs(documents) do
      local stored = redis.call('HGET', hashes[kind], known[1])
      if not stored or tonumber(string.match(stored, '^(%d+)|')) < tonumber(known[2]) then
        redis.call('HSET', hashes[kind], known[1], known[2] .. '|' .. known[3])
        writtenBack = writtenBack + 1
      end
      if known[4] and known[4] ~= '' then
        local deadline = redis.call('ZSCORE', KEYS[6], known[1])
        if not deadline or tonumber(deadline) < nowMs then
          redis.call('ZADD', KEYS[6], nowMs + 2 * tonumber(known[4]), known[1])
        end
        if known[4] == '3000' then
          redis.call('HDEL', KEYS[7], known[1])
        else
          redis.call('HSET', KEYS[7], known[1], known[4])
        end
      end
    end
  end
  -- who deleted the default route does not get it back by a wipe
  if seenEpoch > 0 then
    redis.call('SET', KEYS[8], '1')
  end
end
redis.call('HDEL', KEYS[1], 'restored')

local previousEpoch, previousRevision = math.max(epoch, seenEpoch), math.max(revision, seenRevision)
epoch = math.max(previousEpoch + 1, tonumber(ARGV[7]))
if previousRevision == 0 then
  revision = 1
else
  revision = previousRevision + tonumber(ARGV[3])
end
local runId = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'revision', string.format('%.0f', revision), 'runId', runId)
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence then
  -- also above what was given out since the copy was made that a restore has put back, perhaps for the second time
  local clock = redis.call('TIME')
  local floor = clock[1] * 1000000 + clock[2]
  redis.call('HSET', KEYS[1], 'fence', string.format('%.0f', math.max(tonumber(fence) + LOST_TOKENS, floor)))
end
local tail = string.gsub(string.gsub(ARGV[4], '@epoch@', string.format('%.0f', previousEpoch)), '@revision@',
  string.format('%.0f', previousRevision))
tail = string.gsub(tail, '@writtenBack@', string.format('%.0f', writtenBack))
emit({ stream = KEYS[2], channel = ARGV[5], longest = ARGV[6] }, epoch, revision, { tail = tail })
return { 'raised', epoch, revision, writtenBack }
