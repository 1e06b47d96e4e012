// Caddy as a peer. Taskset leaves it one processor, and the Go runtime sees that.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { debianProgram, versionOf } from '../debian-packages.mjs';
import { peerFolder, startPeer } from './start-peer.mjs';

export const caddy = {
  name: 'caddy',
  title: 'Caddy',
  redirects: true,
  async prepare({ install }) {
    const program = await debianProgram({ program: 'caddy', install });
    return { program, version: await versionOf(program, ['version']) };
  },
  start(bench, { port, origins, prepared }) {
    const folder = peerFolder(bench, caddy);
    const config = join(folder, 'Caddyfile');
    writeFileSync(config, caddyfile({ port, origins }));
    return startPeer(bench, {
      peer: caddy,
      port,
      command: prepared.program,
      args: ['run', '--config', config, '--adapter', 'caddyfile'],
      env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    });
  },
};

function caddyfile({ port, origins }) {
  const upstreams = origins.map((one) => `127.0.0.1:${one}`).join(' ');
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://:${port} {
  bind 127.0.0.1
  handle /redirect* {
    redir http://127.0.0.1:${origins[0]}{uri} 307
  }
  handle {
    reverse_proxy ${upstreams} {
      lb_policy round_robin
    }
  }
}
`;
}
