// NGINX as a peer, with connections to the servers kept.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { debianProgram, versionOf } from '../debian-packages.mjs';
import { peerFolder, startPeer } from './start-peer.mjs';

export const nginx = {
  name: 'nginx',
  title: 'NGINX',
  redirects: true,
  prepare: prepareNginx,
  start(bench, { port, origins, prepared }) {
    const folder = peerFolder(bench, nginx);
    const config = join(folder, 'nginx.conf');
    writeFileSync(config, nginxConfig({ folder, port, origins }));
    return startPeer(bench, {
      peer: nginx,
      port,
      command: prepared.program,
      args: ['-p', folder, '-e', 'error.log', '-c', config],
      // its master ends the worker
      deathSignal: 'TERM',
    });
  },
};

/** Where NGINX is and which one. */
export async function prepareNginx({ install }) {
  const program = await debianProgram({ program: 'nginx', install });
  return { program, version: await versionOf(program, ['-v']) };
}

function nginxConfig({ folder, port, origins }) {
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log crit;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  upstream origins {
${origins.map((one) => `    server 127.0.0.1:${one};`).join('\n')}
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://origins;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_max_temp_file_size 0;
    }
    location /redirect { return 307 http://127.0.0.1:${origins[0]}$request_uri; }
  }
}
`;
}
