// How are keys of any bytes and values of any type compared and carried from one Redis to another over a text connection? By
// scripts that speak hex. They run on data of a few hundred keys at a time, so that nobody waits long.
import { decode } from '@switchyard/protocol';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { z } from 'zod';

/** A key of a database; the key in hex. */
export interface KeyPlace {
  readonly db: number;
  readonly hex: string;
}

const shared = `
local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end
local function bytes(h) return (h:gsub('%x%x', function(p) return string.char(tonumber(p, 16)) end)) end
`;

const scanScript = `${shared}
redis.call('SELECT', ARGV[1])
local page = redis.call('SCAN', ARGV[2], 'COUNT', ARGV[3])
local keys = {}
for i, key in ipairs(page[2]) do keys[i] = hex(key) end
return {page[1], keys}`;

/** One sum for the content of a key, whatever its encoding and the order of its members; '' where there is none. */
const sumScript = `${shared}
local function joined(items)
  local parts = {}
  for i, item in ipairs(items) do parts[i] = #item .. ':' .. item end
  return table.concat(parts)
end
local function pairsOf(items)
  local parts = {}
  for i = 1, #items, 2 do parts[#parts + 1] = #items[i] .. ':' .. items[i] .. items[i + 1] end
  table.sort(parts)
  return joined(parts)
end
local read = {
  string = function(key) return redis.call('GET', key) end,
  list = function(key) return joined(redis.call('LRANGE', key, 0, -1)) end,
  hash = function(key) return pairsOf(redis.call('HGETALL', key)) end,
  zset = function(key) return pairsOf(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')) end,
  set = function(key)
    local members = redis.call('SMEMBERS', key)
    table.sort(members)
    return joined(members)
  end
}
redis.call('SELECT', ARGV[1])
local sums = {}
for i = 2, #ARGV do
  local key = bytes(ARGV[i])
  local kind = redis.call('TYPE', key).ok
  local content = kind ~= 'none' and (read[kind] and read[kind](key) or redis.call('DUMP', key))
  sums[#sums + 1] = content and kind .. ' ' .. redis.sha1hex(content) or ''
end
return sums`;

const dumpScript = `${shared}
redis.call('SELECT', ARGV[1])
local key = bytes(ARGV[2])
local value = redis.call('DUMP', key)
if not value then return {} end
return {hex(value), tostring(math.max(redis.call('PTTL', key), 0))}`;

const restoreScript = `${shared}
redis.call('SELECT', ARGV[1])
local words = {'RESTORE', bytes(ARGV[2]), ARGV[3], bytes(ARGV[4])}
if ARGV[5] == 'replace' then words[5] = 'REPLACE' end
local reply = redis.pcall(unpack(words))
return reply.err or 'OK'`;

type Asked = Pick<RedisNodeAdmin, 'call'>;

const page = z.tuple([z.string(), z.array(z.string())]);
const sums = z.array(z.string());
const dump = z.union([z.tuple([z.string(), z.string()]), z.tuple([])]);

/** One page of the keys of a database: the cursor of the next one ('0' at the end) and the keys. */
export const scanKeys = async (
  from: Asked,
  { db, cursor, count }: { readonly db: number; readonly cursor: string; readonly count: number },
): Promise<{ readonly cursor: string; readonly keys: readonly KeyPlace[] }> => {
  const [next, keys] = read(page, await from.call('EVAL', scanScript, 0, db, cursor, count));
  return { cursor: next, keys: keys.map((hex) => ({ db, hex })) };
};

/** A sum of each key of one database; '' for those that are not there. */
export const sumsOf = async (from: Asked, db: number, keys: readonly string[]): Promise<readonly string[]> =>
  read(sums, await from.call('EVAL', sumScript, 0, db, ...keys));

/** The key in the form of DUMP, in hex, and what is left of its life (0: for ever); null when it is not there. */
export const dumpKey = async (
  from: Asked,
  { db, hex }: KeyPlace,
): Promise<{ readonly value: string; readonly ttlMs: string } | null> => {
  const [value, ttlMs] = read(dump, await from.call('EVAL', dumpScript, 0, db, hex));
  return value === undefined || ttlMs === undefined ? null : { value, ttlMs };
};

/** `restored`, `exists` when it is there and was not to be replaced, or what Redis says. */
export const restoreKey = async (
  to: Asked,
  { db, hex }: KeyPlace,
  { value, ttlMs, replace }: { readonly value: string; readonly ttlMs: string; readonly replace: boolean },
): Promise<string> => {
  const reply = String(await to.call('EVAL', restoreScript, 0, db, hex, ttlMs, value, replace ? 'replace' : 'keep'));
  if (reply === 'OK') return 'restored';
  return reply.startsWith('BUSYKEY') ? 'exists' : reply;
};

/** How people read a key: as it is when it is plain text, else in hex; with its database when that is not 0. */
export const keyText = ({ db, hex }: KeyPlace): string => {
  const bytes = Buffer.from(hex, 'hex');
  const text = bytes.toString('utf8');
  // oxlint-disable-next-line no-control-regex
  const isPlain = Buffer.from(text, 'utf8').equals(bytes) && !/[\u0000-\u001F\u007F]/.test(text);
  return `${db === 0 ? '' : `db${String(db)}:`}${isPlain ? text : `0x${hex}`}`;
};

const read = <T extends z.ZodType>(schema: T, reply: unknown): z.infer<T> => {
  const decoded = decode(schema, reply);
  if (!decoded.ok) throw new Error(`a script answered in another form than it should: ${decoded.error.detail}`);
  return decoded.value;
};
