// HAProxy as a peer: as its manual has it, with connections to the servers kept; and tuned by an expert, for the failures.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { debianProgram, versionOf } from '../debian-packages.mjs';
import { peerFolder, startPeer } from './start-peer.mjs';

export const haproxy = {
  name: 'haproxy',
  title: 'HAProxy',
  redirects: true,
  prepare,
  start: (bench, target) => start(bench, haproxy, { ...target, backend: plainBackend }),
};

/** Retries elsewhere whatever may be retried, and looks at the application twice a second. */
export const tunedHaproxy = {
  name: 'haproxy-tuned',
  title: 'HAProxy, tuned',
  redirects: false,
  prepare,
  start: (bench, target) => start(bench, tunedHaproxy, { ...target, backend: tunedBackend }),
};

async function prepare({ install }) {
  const program = await debianProgram({ program: 'haproxy', install });
  return { program, version: await versionOf(program, ['-v']) };
}

function start(bench, peer, { port, origins, backend, prepared }) {
  const config = join(peerFolder(bench, peer), 'haproxy.cfg');
  writeFileSync(config, haproxyConfig({ port, origins, backend }));
  return startPeer(bench, { peer, port, command: prepared.program, args: ['-db', '-f', config] });
}

const plainBackend = `  balance roundrobin`;
const tunedBackend = `  balance roundrobin
  option httpchk GET /livez
  option redispatch 1
  retries 3
  retry-on all-retryable-errors
  http-request disable-l7-retry if METH_POST
  timeout server 2s
  default-server inter 500ms fastinter 250ms fall 2 rise 1 observe layer7 error-limit 5 on-error mark-down`;

function haproxyConfig({ port, origins, backend }) {
  const servers = origins.map((one, index) => `  server s${index} 127.0.0.1:${one} check`);
  return `global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:${port}
  http-request redirect code 307 prefix http://127.0.0.1:${origins[0]} if { path_beg /redirect }
  default_backend proxying
backend proxying
${backend}
${servers.join('\n')}
`;
}
