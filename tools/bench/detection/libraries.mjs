// The other registries on Redis as peers: exact versions, one Redis each, instances and an observer that are processes.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../dev/problem.mjs';
import { findRedisServer } from '../../dev/redis-server.mjs';
import { versionOf } from '../debian-packages.mjs';
import { npmFolder } from '../npm-packages.mjs';
import { createFleet } from './fleet.mjs';
import { startRedisNode } from './redis-node.mjs';
import { createSightings } from './sightings.mjs';

const script = fileURLToPath(new URL('library-node.mjs', import.meta.url));
const readyWithinMs = 20_000;
const everything = [
  'appear',
  'kill',
  'freeze',
  'wipe',
  'restart',
  'redis-stopped',
  'watchers-stopped',
  'silent',
  'dead',
];
const tuned = { beatSeconds: 1, ttlSeconds: 3 };

export const libraries = [
  libraryPeer({ name: 'hydra', title: 'Hydra', packages: ['hydra@1.9.3'] }),
  libraryPeer({
    name: 'moleculer',
    title: 'Moleculer (Redis, 1 s / 3 s)',
    packages: ['moleculer@0.14.35', 'ioredis@5.8.2'],
    timing: tuned,
  }),
  libraryPeer({
    name: 'moleculer-default',
    title: 'Moleculer (Redis, as it comes)',
    packages: ['moleculer@0.14.35', 'ioredis@5.8.2'],
    works: ['kill'],
    samples: 1,
    patienceMs: 90_000,
  }),
  libraryPeer({
    name: 'hazeljs',
    title: 'HazelJS discovery (1 s / 3 s)',
    packages: ['@hazeljs/discovery@2.0.2', 'ioredis@5.8.2'],
    timing: tuned,
    // of its calls, not of its registry; it is loaded all the same, and not every npm registry has it
    standIn: '@hazeljs/resilience',
  }),
];

function libraryPeer({ name, title, packages, timing, works = everything, samples, patienceMs, standIn }) {
  const version = /@([\d.]+)$/.exec(packages[0])[1];
  return {
    name,
    title,
    works,
    samples,
    /** They wait for seconds, so they can do it side by side. */
    alone: false,
    async prepare({ cache, install }) {
      const redis = await findRedisServer({ install });
      if (redis === undefined)
        throw new Problem('redis-server is not installed.', { next: 'install Redis 7 or newer.' });
      const folder = await npmFolder({ cache, packages, install });
      if (standIn !== undefined) standInFor(join(folder, 'node_modules', standIn));
      return { version: `${version}, Redis ${await versionOf(redis, ['--version'])}`, redis, folder };
    },
    async start(bench, { prepared, size }) {
      const own = join(bench.directory, name);
      mkdirSync(own, { recursive: true });
      const redis = await startRedisNode(bench, { program: prepared.redis, folder: own });
      const sightings = createSightings();
      let unansweredMs = 0;
      const begin = async (role, id) => {
        const plan = { library: name.replace(/-.*/, ''), role, id, redisPort: redis.port, ...timing };
        const process = await bench.processes.start({
          name: `${title}, ${id}`,
          command: bench.node,
          args: [script, JSON.stringify(plan)],
          cwd: prepared.folder,
          env: { PATH: globalThis.process.env.PATH, NODE_ENV: 'production' },
          talk: true,
        });
        return { process, ...(await process.next('ready', readyWithinMs)) };
      };
      const observer = await begin('observer', 'observer');
      observer.process.listen(({ state, ids, atMs, ms }) => {
        if (state === 'seen') sightings.setAll(ids, atMs);
        if (state === 'hung') unansweredMs += ms;
      });
      const fleet = createFleet({ start: (id) => begin('instance', id), sightings, size });
      return {
        redis,
        sightings,
        fleet,
        patience: patienceMs,
        settleMs: 8_000,
        watchers: () => [observer.process],
        unanswered: () => unansweredMs,
        async stop() {
          await fleet.endAll();
          await observer.process.stop(500);
          await redis.stop();
        },
      };
    },
  };
}

/** An empty package, where there is none. */
function standInFor(folder) {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "main": "index.js" }\n');
  writeFileSync(join(folder, 'index.js'), '');
}
