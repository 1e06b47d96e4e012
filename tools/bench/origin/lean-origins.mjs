// Which origins are cheap enough that the proxy, not they, is what is measured? NGINX with a constant answer, on three ports.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, until } from '../waiting.mjs';

/** Starts them on these ports. `nginx` is the path of the program. */
export async function startLeanOrigins(bench, { nginx, ports }) {
  const folder = join(bench.directory, 'lean-origins');
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  const config = join(folder, 'nginx.conf');
  writeFileSync(config, leanConfig({ folder, ports }));
  const server = await bench.processes.start({
    name: 'lean origins',
    command: nginx,
    args: ['-p', folder, '-e', 'error.log', '-c', config],
    core: bench.cores.others,
    deathSignal: 'TERM',
  });
  const isUp = async () => (await ask(`http://127.0.0.1:${ports[0]}/`)).status === 200;
  await until(isUp, { what: `lean origins are up\n${server.output()}` });
  return server;
}

function leanConfig({ folder, ports }) {
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log crit;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  default_type text/plain;
  server {
${ports.map((port) => `    listen 127.0.0.1:${port};`).join('\n')}
    location / { return 200 'hello world, this is a small body....'; }
  }
}
`;
}
