// Our own engine as a peer.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPeer } from './start-peer.mjs';

const script = fileURLToPath(new URL('engine-server.ts', import.meta.url));

export const engine = {
  name: 'ours',
  title: 'Switchyard engine',
  redirects: true,
  prepare: async ({ root }) => ({ version: ownVersion(root) }),
  start: (bench, { port, origins }) =>
    startPeer(bench, { peer: engine, port, command: bench.node, args: [script, port, ...origins], cwd: bench.root }),
};

/** The same without shared connections: what they are worth, and what they cost where answers are mixed. */
export const unsharedEngine = {
  ...engine,
  name: 'ours-unshared',
  title: 'Switchyard engine, unshared',
  start: (bench, { port, origins }) =>
    startPeer(bench, {
      peer: unsharedEngine,
      port,
      command: bench.node,
      args: [script, port, ...origins],
      cwd: bench.root,
      env: { PATH: process.env.PATH, SHARED_DEPTH: '0' },
    }),
};

/** The version of the project itself. */
export function ownVersion(root) {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}
