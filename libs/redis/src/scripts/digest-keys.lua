-- What are these keys worth now? Reads only; stops when its share of work is done, so that the reply may be shorter than the list.
--
-- ARGV: most work (as in digest-scan.lua), `content` to leave the expiry out of the hash, then keys.
-- Reply: the server's time in ms; work done; for each key its hash ('' when it is too large for one go or not there), and its expiry (-1
-- never, -2 not there), in turn.
--@include digest_entry

local most_work = tonumber(ARGV[1])
local time = call('TIME')
local reply = { string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), 0 }
for at = 3, #ARGV do
  if work >= most_work then break end
  local key = ARGV[at]
  local expires = expiry(key)
  local hash = ''
  if expires ~= -2 then
    hash = entry(key, sha1hex(key), ARGV[2] == 'content' and '' or expires) or ''
  end
  reply[#reply + 1] = hash
  reply[#reply + 1] = string.format('%.0f', expires)
end
reply[2] = work
return reply
