-- Has this Redis process been told to go on with the catalog? One that was restarted, restored, wiped or promoted may have
-- forgotten revisions and fencing tokens that somebody has seen; it gives none out before the next epoch has begun.
-- INFO costs about 4 us here.
local function claimed(meta)
  local runId = redis.call('HGET', meta, 'runId')
  return runId and string.find(redis.call('INFO', 'server'), 'run_id:' .. runId, 1, true) ~= nil
end
