-- What is one key worth in a digest? A hash of its name, expiry, type and content; the same on every node that has the same
-- data, whatever the encoding, and the same whether it was read here or in slices (digest-slice.lua).
--
-- Content of a collection: its number of elements and two sums of 48 bits each over the hashes of the elements, so that order
-- counts only where it means something (a list's elements are hashed with their position).

-- Looked up once: this runs for every key of the data set.
local call, sha1hex, sub = redis.call, redis.sha1hex, string.sub
local modulus = 2 ^ 52
-- A key that may cost more than this is not read in one go.
local largest_string = 65536
local largest_collection = 32768
local largest_pending = 64

-- Bytes that were read, and 64 for each element: what the caller bounds a call by.
local work = 0

local function add(sums, text)
  work = work + 64 + #text
  local hash = sha1hex(text)
  sums[1] = (sums[1] + tonumber(sub(hash, 1, 12), 16)) % modulus
  sums[2] = (sums[2] + tonumber(sub(hash, 13, 24), 16)) % modulus
  sums[3] = sums[3] + 1
end

-- With its length in front, two texts in a row are told from two others that look the same side by side.
local function sized(text)
  return #text .. ':' .. text
end

-- By its bits: how a score is written depends on the encoding and the version. A small zset keeps no sign of a zero.
local function score(text)
  return struct.pack('>d', tonumber(text) + 0)
end

local function add_list(sums, items, first)
  for at = 1, #items do
    add(sums, (first + at - 1) .. ':' .. items[at])
  end
end

local function add_set(sums, items)
  for at = 1, #items do
    add(sums, items[at])
  end
end

local function add_hash(sums, items)
  for at = 1, #items, 2 do
    add(sums, sized(items[at]) .. items[at + 1])
  end
end

local function add_zset(sums, items)
  for at = 1, #items, 2 do
    add(sums, score(items[at + 1]) .. items[at])
  end
end

local function add_stream(sums, entries)
  for at = 1, #entries do
    local parts = { 'e', entries[at][1] }
    local fields = entries[at][2]
    for field = 1, #fields do
      parts[#parts + 1] = sized(fields[field])
    end
    add(sums, table.concat(parts, ' '))
  end
end

-- Who waits for which entry, and how often it was handed out. Since when: not compared, it is a time of the node's own clock.
local function add_pending(sums, group, pending)
  for at = 1, #pending do
    local one = pending[at]
    add(sums, table.concat({ 'p', sized(group), one[1], sized(one[2]), one[4] }, ' '))
  end
end

local function pairs_of(list)
  local found = {}
  for at = 1, #list, 2 do
    found[list[at]] = list[at + 1]
  end
  return found
end

-- What belongs to the stream as a whole.
local function add_stream_head(sums, key)
  local info = pairs_of(call('XINFO', 'STREAM', key))
  add(sums, 'h ' .. info['last-generated-id'])
  local groups = call('XINFO', 'GROUPS', key)
  for at = 1, #groups do
    local group = pairs_of(groups[at])
    add(sums, table.concat({ 'g', sized(group['name']), group['last-delivered-id'], group['pending'] }, ' '))
  end
  return groups
end

local function is_large(key, pending)
  return pending > largest_pending
    or (call('MEMORY', 'USAGE', key, 'SAMPLES', 5) or 0) > largest_collection
end

local letters = { string = 's', list = 'l', set = 't', hash = 'h', zset = 'z', stream = 'x' }

-- Letter of the type and the content; the content is nil when the key is too large for one go.
local function content(key, kind)
  local letter = letters[kind]
  if letter == 's' then
    local value = call('GETRANGE', key, 0, largest_string)
    if #value > largest_string then return 'S', nil end
    work = work + 64 + #value
    return letter, value
  end
  if letter == nil then
    -- A type of a module: the form in which it is stored is all that there is to compare.
    local dump = call('DUMP', key) or ''
    work = work + 64 + #dump
    return 'm', kind .. sub(dump, 1, -11)
  end
  local sums = { 0, 0, 0 }
  if letter == 'x' then
    local groups = call('XINFO', 'GROUPS', key)
    local waiting = 0
    for at = 1, #groups do
      waiting = waiting + pairs_of(groups[at])['pending']
    end
    if is_large(key, waiting) then return letter, nil end
    add_stream_head(sums, key)
    add_stream(sums, call('XRANGE', key, '-', '+'))
    for at = 1, #groups do
      local name = pairs_of(groups[at])['name']
      add_pending(sums, name, call('XPENDING', key, name, '-', '+', largest_pending))
    end
  else
    if is_large(key, 0) then return letter, nil end
    if letter == 'l' then
      add_list(sums, call('LRANGE', key, 0, -1), 0)
    elseif letter == 't' then
      add_set(sums, call('SMEMBERS', key))
    elseif letter == 'h' then
      add_hash(sums, call('HGETALL', key))
    else
      add_zset(sums, call('ZRANGE', key, 0, -1, 'WITHSCORES'))
    end
  end
  return letter, string.format('%.0f:%.0f:%.0f', sums[3], sums[1], sums[2])
end

-- In ms since 1970; -1: never, -2: there is no such key. Lua writes 14 digits of a number: enough for 3000 years.
local function expiry(key)
  return call('PEXPIRETIME', key)
end

-- 24 hex digits; nil when the key is too large for one go. Without an expiry only the content counts.
local function entry(key, name_hash, expires)
  local letter, value = content(key, call('TYPE', key).ok)
  if value == nil then return nil end
  return sub(sha1hex(name_hash .. letter .. expires .. ':' .. value), 1, 24)
end
