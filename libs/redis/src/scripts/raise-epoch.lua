-- Begins the next epoch when this Redis may know less than its readers: it is another process than the one that gave the
-- last revisions out (restart, failover, restore), or it is behind a reader.
--
-- Guarantee: at most one caller raises for one change of process; afterwards epoch and revision are above everything that
--   the caller has seen, so no revision is given out twice.
-- KEYS: 1 catalog meta  2 events
-- ARGV: 1 run id of this Redis  2 epoch and 3 revision that the caller has seen  4 step to jump over what others have seen
--       5 event tail (JSON that begins with "{")  6 channel  7 longest stream  8 epoch to begin with
-- Returns: { raised (1 or 0), epoch, revision }
--@include event
local runId = redis.call('HGET', KEYS[1], 'runId')
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
local seenEpoch, seenRevision = tonumber(ARGV[2]), tonumber(ARGV[3])
local behind = epoch < seenEpoch or (epoch == seenEpoch and revision < seenRevision)
if epoch > 0 and not behind and (not runId or runId == ARGV[1]) then
  -- the first look at a catalog that has just begun
  if not runId then
    redis.call('HSET', KEYS[1], 'runId', ARGV[1])
  end
  return { 0, epoch, revision }
end
local previousEpoch, previousRevision = math.max(epoch, seenEpoch), math.max(revision, seenRevision)
epoch = math.max(previousEpoch + 1, tonumber(ARGV[8]))
if previousRevision == 0 then
  revision = 1
else
  revision = previousRevision + tonumber(ARGV[4])
end
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'revision', string.format('%.0f', revision), 'runId', ARGV[1])
local tail = string.gsub(string.gsub(ARGV[5], '@epoch@', string.format('%.0f', previousEpoch)), '@revision@',
  string.format('%.0f', previousRevision))
emit({ stream = KEYS[2], channel = ARGV[6], longest = ARGV[7] }, epoch, revision, tail)
return { 1, epoch, revision }
