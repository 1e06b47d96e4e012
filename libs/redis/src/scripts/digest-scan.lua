-- What are the next keys of this database worth? Reads only; stops reading when its share of bytes is used up.
--
-- ARGV: cursor, COUNT for SCAN, most work (bytes, and 64 for each element).
-- Reply: cursor; 36 hex digits a key (12 of its name's hash, 24 of its entry's); keys that are too large for one go or were not
-- reached; work done.
--@include digest_entry

local most_work = tonumber(ARGV[3])
local found = call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local keys = found[2]
local hashes = {}
local later = {}
for at = 1, #keys do
  local key = keys[at]
  local hash = nil
  if work < most_work then
    local name_hash = sha1hex(key)
    hash = entry(key, name_hash, expiry(key))
    if hash then
      hashes[#hashes + 1] = sub(name_hash, 1, 12)
      hashes[#hashes + 1] = hash
    end
  end
  if not hash then later[#later + 1] = key end
end
return { found[1], table.concat(hashes), later, work }
