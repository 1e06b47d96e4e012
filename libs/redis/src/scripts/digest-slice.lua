-- What is the next part of a large key worth? The sums over all parts are what digest-scan.lua would have found in one go.
--
-- ARGV: key, its letter (as in digest_entry.lua, `S` for a string), cursor ('0' to begin), elements to read.
-- Reply: next cursor ('' at the end), elements, both sums, work done. An error when the key is of another type by now.
--@include digest_entry

local key, letter, cursor, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local sums = { 0, 0, 0 }
local next_cursor = ''

local function scanned(command, add_items)
  local found = call(command, key, cursor, 'COUNT', count)
  add_items(sums, found[2])
  if found[1] ~= '0' then next_cursor = found[1] end
end

-- Cursor of a stream: `e <last id>` among the entries, then `p <group> <last id>` among what waits in each group.
local function stream_slice()
  local phase, first, second = string.match(cursor, '^(%a?) ?(%S*) ?(%S*)$')
  if phase ~= 'p' then
    if phase == '' then add_stream_head(sums, key) end
    local entries = call('XRANGE', key, phase == '' and '-' or '(' .. first, '+', 'COUNT', count)
    add_stream(sums, entries)
    if #entries == count then return 'e ' .. entries[#entries][1] end
    first, second = '1', ''
  end
  local groups = call('XINFO', 'GROUPS', key)
  local number = tonumber(first)
  if number > #groups then return '' end
  local name = pairs_of(groups[number])['name']
  local pending = call('XPENDING', key, name, second == '' and '-' or '(' .. second, '+', count)
  add_pending(sums, name, pending)
  if #pending == count then return 'p ' .. first .. ' ' .. pending[#pending][1] end
  return number < #groups and 'p ' .. (number + 1) .. ' ' or ''
end

if letter == 'S' then
  local from = tonumber(cursor)
  local block = call('GETRANGE', key, from, from + largest_string - 1)
  add(sums, cursor .. ':' .. block)
  if #block == largest_string then next_cursor = string.format('%.0f', from + largest_string) end
elseif letter == 'l' then
  local from = tonumber(cursor)
  local items = call('LRANGE', key, from, from + count - 1)
  add_list(sums, items, from)
  if #items == count then next_cursor = string.format('%.0f', from + count) end
elseif letter == 't' then
  scanned('SSCAN', add_set)
elseif letter == 'h' then
  scanned('HSCAN', add_hash)
elseif letter == 'z' then
  scanned('ZSCAN', add_zset)
else
  if cursor == '0' then cursor = '' end
  next_cursor = stream_slice()
end
return { next_cursor, sums[3], string.format('%.0f', sums[1]), string.format('%.0f', sums[2]), work }
