-- Which leases are there? Changes nothing.
--
-- KEYS: 1 catalog meta  2 lease documents  3 lease expiries
-- ARGV: 1 name, or "" for all
-- Returns: { "unclaimed" } | { "leases", epoch, now ms, { name, stored, end ms, ... } }
--@include claim
--@include lease
if not claimed(KEYS[1]) then
  return { 'unclaimed' }
end
local found = {}
local function add(name, stored)
  found[#found + 1] = name
  found[#found + 1] = stored
  found[#found + 1] = redis.call('ZSCORE', KEYS[3], name) or '0'
end
if ARGV[1] == '' then
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    add(all[i], all[i + 1])
  end
else
  local stored = redis.call('HGET', KEYS[2], ARGV[1])
  if stored then
    add(ARGV[1], stored)
  end
end
return { 'leases', redis.call('HGET', KEYS[1], 'epoch'), nowInMs(), found }
