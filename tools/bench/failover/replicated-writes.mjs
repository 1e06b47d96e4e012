// How does a client wait until a replica has its write? With WAIT after each write, or with the group commit of this project.
const waitMs = 1_000;

/** A function that writes one key and resolves when one replica at least has it; rejects otherwise. */
export async function replicatedWrites(kind, redis) {
  if (kind === 'ours') return groupCommit(redis);
  return (key, value) => waited(redis, key, value);
}

/** SET and WAIT back to back on one connection. */
export async function waited(redis, key, value) {
  const write = redis.set(key, value);
  const [, copies] = await Promise.all([write, redis.wait(1, waitMs)]);
  if (copies < 1) throw new Error('no replica has it in time');
}

async function groupCommit() {
  throw new Error('the group commit is not there yet');
}
