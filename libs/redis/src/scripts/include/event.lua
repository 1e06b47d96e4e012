-- Redis's clock as RFC 3339 text. Civil date from day number: H. Hinnant, "chrono-compatible low-level date algorithms".
local function timestamp(seconds, micros)
  local days, rest = math.floor(seconds / 86400), seconds % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day, month = doy - math.floor((153 * mp + 2) / 5) + 1, mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(rest / 3600),
    math.floor(rest % 3600 / 60), rest % 60, math.floor(micros / 1000))
end

-- Appends an event to the stream under its revision and wakes the readers. `tail` is JSON text that begins with "{", for those who
-- are woken. `fields` are what the stream keeps of it (stored-form.ts); without them it keeps the whole text. `undo`, when there is any,
-- is kept beside it: how to take the change back.
local function emit(where, epoch, revision, event)
  local now = redis.call('TIME')
  local text = string.format('{"id":"%.0f.%.0f","epoch":%.0f,"revision":%.0f,"time":"%s",', epoch, revision, epoch, revision,
    timestamp(tonumber(now[1]), tonumber(now[2]))) .. string.sub(event.tail, 2)
  local fields = { 'e', text }
  if event.fields then
    fields = { 'e', string.format('%.0f', epoch), 't', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)),
      unpack(event.fields) }
  end
  if event.undo and event.undo ~= '' then
    fields[#fields + 1] = 'u'
    fields[#fields + 1] = event.undo
  end
  redis.call('XADD', where.stream, 'MAXLEN', '~', where.longest, string.format('%.0f-0', revision), unpack(fields))
  redis.call('PUBLISH', where.channel, text)
end
