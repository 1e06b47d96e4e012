// How does a client wait until a replica has its write? With WAIT after each write, or with the group commit of this project.
import { createDurableWriter } from '@switchyard/redis';
import { silent } from './clients.mjs';

const waitMs = 1_000;

/** SET and WAIT back to back on one connection: what a client does that has nothing better. */
export async function waited(redis, key, value) {
  const write = redis.set(key, value);
  const [, copies] = await Promise.all([write, redis.wait(1, waitMs)]);
  if (copies < 1) throw new Error('no replica has it in time');
}

/** The durable writer of this project: a function that resolves when a replica has the key, and rejects otherwise. */
export function groupCommit(connections) {
  const writer = createDurableWriter(connections, { level: 'replicated', logger: silent });
  return async (key, value) => {
    const outcome = await writer.write(['SET', key, value]);
    if (outcome.type !== 'acknowledged') throw new Error(`${outcome.type}: ${outcome.refusal.code}`);
  };
}
