-- Reads what came after a revision, together with where the catalog stands.
--
-- KEYS: 1 catalog meta  2 events
-- ARGV: 1 revision the reader knows  2 most events to return
-- Returns: { epoch, revision, { entry of the stream, ... }, claimed (1 or 0) }; the caller sees a gap when the first event is not the next one
--@include claim
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
local entries = {}
if revision > tonumber(ARGV[1]) then
  entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
end
return { epoch, revision, entries, claimed(KEYS[1]) and 1 or 0 }
