// What does a machine with only Node >= 20 and npm lack? This brings it: packages, Node 24, redis-server.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages, findNode } from './dependencies.mjs';
import { Problem } from './problem.mjs';
import { findRedisServer } from './redis-server.mjs';

/** The root of the repository. */
export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * Installs what is missing. `{ node, redisServer }` are paths; with `needRedis: false` redisServer may be undefined.
 * Throws a Problem for everything that a person can mend.
 */
export async function bootstrap({ root = repositoryRoot, needRedis = true, signal } = {}) {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) {
    throw new Problem(`Node ${process.versions.node} is too old, 20 or newer is needed.`, {
      next: 'install Node 24 (https://nodejs.org).',
    });
  }
  // The package managers of the two have nothing to do with each other.
  const [redis, packages] = await Promise.allSettled([
    findRedisServer({ signal, install: needRedis }),
    ensurePackages(root, { signal }),
  ]);
  for (const result of [packages, redis]) if (result.status === 'rejected') throw result.reason;
  return { node: findNode(root), redisServer: redis.value };
}
