-- Commits one decided change: all of it, or nothing.
--
-- Guarantee: every expectation held at the moment of writing; the revision rose by one; the event is in the stream under
--   that revision and was published. With a fence: the lease still had the given token.
-- KEYS: 1 catalog meta  2 instances  3 services  4 routes  5 service revisions  6 events  7 deadlines  8 ttls  9 fence counter
-- ARGV: 1 JSON of strings { expect: [[kind, key, revision]], writes: [[kind, key, document or ""]], service, member, ttl
--         ("" none, "-" remove, else ms), unlessAfter ("" none, else ms: a later deadline is a conflict), token ("" none) }
--       2 event without id, epoch, revision, time: JSON text that begins with "{"
--       3 channel  4 longest stream  5 how to take it back: JSON, kept with the event; "" none
--       6.. fields of the event as the stream keeps it
--       `grant` '1': takes the next fencing token and puts it in the place of "fencingToken":-1 in documents and event. That text
--       cannot stand inside a JSON string, where its quotes would be escaped.
-- Returns: { "committed", epoch, revision, token } | { "conflict", key } | { "fenced" } | { "unclaimed" }
--@include claim
--@include fence
--@include event
local change = cjson.decode(ARGV[1])
local hashes = { instance = KEYS[2], service = KEYS[3], route = KEYS[4] }

if not claimed(KEYS[1]) then
  return { 'unclaimed' }
end
if change.token ~= '' and redis.call('GET', KEYS[9]) ~= change.token then
  return { 'fenced' }
end
for _, expected in ipairs(change.expect) do
  local stored = redis.call('HGET', hashes[expected[1]], expected[2])
  local revision = stored and string.match(stored, '^(%d+)|') or '0'
  if revision ~= expected[3] then
    return { 'conflict', expected[2] }
  end
end

if change.unlessAfter ~= '' then
  local deadline = redis.call('ZSCORE', KEYS[7], change.member)
  if deadline and tonumber(deadline) > tonumber(change.unlessAfter) then
    return { 'conflict', change.member }
  end
end

local epoch = redis.call('HGET', KEYS[1], 'epoch')
local token, tail = 0, ARGV[2]
local fields = { unpack(ARGV, 6) }
if change.grant == '1' then
  token = nextToken(KEYS[1])
  local granted = string.format('"fencingToken":%.0f', token)
  tail = string.gsub(tail, '"fencingToken":%-1', granted)
  for i, field in ipairs(fields) do
    fields[i] = string.gsub(field, '"fencingToken":%-1', granted)
  end
  for _, write in ipairs(change.writes) do
    write[3] = string.gsub(write[3], '"fencingToken":%-1', granted)
  end
end
local revision = redis.call('HINCRBY', KEYS[1], 'revision', 1)
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)

for _, write in ipairs(change.writes) do
  if write[3] == '' then
    redis.call('HDEL', hashes[write[1]], write[2])
  else
    redis.call('HSET', hashes[write[1]], write[2], revision .. '|' .. write[3])
  end
end
if change.ttl == '-' then
  redis.call('ZREM', KEYS[7], change.member)
  redis.call('HDEL', KEYS[8], change.member)
elseif change.ttl ~= '' then
  redis.call('ZADD', KEYS[7], nowMs + tonumber(change.ttl), change.member)
  -- the usual time to live is not kept
  if change.ttl == '3000' then
    redis.call('HDEL', KEYS[8], change.member)
  else
    redis.call('HSET', KEYS[8], change.member, change.ttl)
  end
end
if change.service ~= '' then
  redis.call('HSET', KEYS[5], change.service, revision)
end

emit({ stream = KEYS[6], channel = ARGV[3], longest = ARGV[4] }, tonumber(epoch), revision,
  { tail = tail, fields = fields, undo = ARGV[5] })
return { 'committed', tonumber(epoch), revision, token }
