// The proxies from npm as peers: exact versions, each with what its users are told to set for speed (a keep-alive agent).
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npmFolder } from '../npm-packages.mjs';
import { startPeer } from './start-peer.mjs';

const script = fileURLToPath(new URL('npm-proxy-server.mjs', import.meta.url));

export const npmProxies = [
  npmProxy('http-proxy', ['http-proxy@1.18.1']),
  npmProxy('http-proxy-3', ['http-proxy-3@1.23.3']),
  npmProxy('httpxy', ['httpxy@0.5.6']),
  npmProxy('reply-from', ['@fastify/reply-from@12.6.5', 'fastify@5.12.8']),
];

function npmProxy(name, packages) {
  const title = packages[0].replace(/@[\d.]+$/, '');
  const version = /@([\d.]+)$/.exec(packages[0])[1];
  const peer = {
    name,
    title,
    redirects: false,
    prepare: async ({ cache, install }) => ({ version, folder: await npmFolder({ cache, packages, install }) }),
    start(bench, { port, origins, prepared: { folder } }) {
      // Beside its packages, where Node finds them.
      const here = join(folder, 'server.mjs');
      copyFileSync(script, here);
      const args = [here, name, port, ...origins];
      return startPeer(bench, { peer, port, command: bench.node, args, cwd: folder, env: withoutOptions(process.env) });
    },
  };
  return peer;
}

function withoutOptions({ NODE_OPTIONS: _options, ...env }) {
  return { ...env, NODE_ENV: 'production' };
}
