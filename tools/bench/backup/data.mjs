// How does a primary get so much data of a size that was asked for? By a script of its own, piece by piece, so that its
// Sentinels see it alive and its replicas keep up.
import { randomBytes } from 'node:crypto';
import { infoOf } from '../failover/redis-group.mjs';
import { pause, until } from '../waiting.mjs';

/** Bytes that one call writes. */
const pieceBytes = 2_000_000;
/** Of a replica's output buffer (64 MB for a minute is too much for the server). */
const mostBehindBytes = 32_000_000;
const fillScript = `
local pool, size = ARGV[3], tonumber(ARGV[4])
local room = #pool - size
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('SET', 'key:' .. i, string.sub(pool, 1 + (i * 7919) % room, size + (i * 7919) % room))
end`;

/** Fills until the primary uses `bytes` of memory and its replicas have everything; resolves with the number of keys. */
export async function fill(group, { bytes, valueBytes }) {
  const [primary, ...replicas] = group.nodes;
  const pool = randomBytes(96_000).toString('base64');
  const step = Math.max(1, Math.floor(pieceBytes / (valueBytes + 60)));
  const replicated = (node) => node.ask(['INFO', 'replication'], 5_000);
  const behind = async () => {
    const offset = Number(infoOf(await replicated(primary), 'master_repl_offset'));
    const offsets = await Promise.all(
      replicas.map(async (node) => Number(infoOf(await replicated(node), 'slave_repl_offset'))),
    );
    return offset - Math.min(...offsets);
  };
  let keys = 0;
  for (;;) {
    await primary.ask(
      ['EVAL', fillScript, '0', String(keys + 1), String(keys + step), pool, String(valueBytes)],
      10_000,
    );
    keys += step;
    const used = Number(infoOf(await primary.ask(['INFO', 'memory'], 5_000), 'used_memory'));
    while ((await behind()) > mostBehindBytes) await pause(50);
    if (used >= bytes) break;
  }
  await until(async () => (await behind()) <= 0, { what: 'the replicas have everything', ms: 60_000 });
  return keys;
}

const missingScript = `
local missing = 0
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do if redis.call('EXISTS', 'key:' .. i) == 0 then missing = missing + 1 end end
return missing`;
const lookedAtOnce = 50_000;

/** How many of the keys that `fill` made a node does not have. */
export async function missingOf(node, keys) {
  let missing = 0;
  for (let from = 1; from <= keys; from += lookedAtOnce) {
    const to = Math.min(keys, from + lookedAtOnce - 1);
    missing += Number(await node.ask(['EVAL', missingScript, '0', String(from), String(to)], 20_000));
  }
  return missing;
}

/** A node as soon as it answers like a primary or replica that has loaded its data. */
export const loaded = (node, ms) =>
  until(async () => (await node.ask(['PING'])) === 'PONG', { what: `${node.name} has loaded`, ms });
