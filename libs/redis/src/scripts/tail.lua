-- Reads what came after a revision, together with where the catalog stands.
--
-- KEYS: 1 catalog meta  2 events
-- ARGV: 1 revision the reader knows  2 most events to return
-- Returns: { epoch, revision, { event, ... }, claimed (1 or 0) }; the caller sees a gap when the first event is not the next one
--@include claim
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
local events = {}
if revision > tonumber(ARGV[1]) then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
    events[#events + 1] = entry[2][2]
  end
end
return { epoch, revision, events, claimed(KEYS[1]) and 1 or 0 }
