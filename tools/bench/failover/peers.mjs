// Who is compared? Stock Redis and Sentinel with ioredis, the same with what experts add, and Switchyard.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../../dev/problem.mjs';
import { findRedisServer } from '../../dev/redis-server.mjs';
import { versionOf } from '../debian-packages.mjs';
import { ownVersion } from '../peers/engine.mjs';

const jobs = ['jobs-kill', 'jobs-freeze', 'jobs-blackout'];
const everyday = ['crash-1000', 'crash-500', 'planned', 'stale', 'link-5-async', 'link-25-async', ...jobs];
const replicated = ['link-5-replicated', 'link-25-replicated'];

async function prepare({ root, install }) {
  const redis = await findRedisServer({ install });
  if (redis === undefined) throw new Problem('redis-server is not installed.', { next: 'install Redis 7 or newer.' });
  const versionIn = (name) =>
    JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
  const engine = await versionOf(redis, ['--version']);
  return {
    redis,
    ownVersion: ownVersion(root),
    libraries: `ioredis ${versionIn('ioredis')}, BullMQ ${versionIn('bullmq')}`,
    engine,
  };
}

/** A peer that needs nothing but Redis and this checkout; `about` tells its version of what was found. */
export const stockPeer = ({ about, ...one }) => ({
  ...one,
  async prepare(bench) {
    const prepared = await prepare(bench);
    return { ...prepared, version: about(prepared) };
  },
});
const stock = ({ engine, libraries }) => `(Redis ${engine}, ${libraries})`;

export const failoverPeers = [
  stockPeer({
    name: 'ours',
    title: 'Switchyard',
    managed: true,
    works: [...everyday, ...replicated, 'throughput', 'check'],
    about: ({ ownVersion: version, engine }) => `${version} (Redis ${engine})`,
  }),
  stockPeer({ name: 'ioredis', title: 'Sentinel, ioredis as it comes', works: everyday, about: stock }),
  stockPeer({
    name: 'ioredis-tuned',
    title: 'Sentinel, ioredis tuned',
    works: [...everyday, ...replicated],
    about: stock,
  }),
  stockPeer({ name: 'no-wait', title: 'no waiting for replicas', works: ['throughput'], about: stock }),
  stockPeer({ name: 'wait-shared', title: 'WAIT, one connection', works: ['throughput'], about: stock }),
  stockPeer({ name: 'wait-pool', title: 'WAIT, 16 connections', works: ['throughput'], about: stock }),
  stockPeer({
    name: 'digest',
    title: 'DEBUG DIGEST on each node',
    works: ['check'],
    about: ({ engine }) => `(Redis ${engine})`,
  }),
];
