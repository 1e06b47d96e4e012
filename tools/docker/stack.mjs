// How does a test get a compose stack of its own? Own project name, images, ports and network; nothing stays behind.
import { randomBytes, randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../libs/testing/src/eventually.ts';
import { attempt, run } from './command.mjs';
import { idsIn } from './engine.mjs';

const root = join(import.meta.dirname, '..', '..');

/** `compose`: from findCompose; `images`: from baseImages. Nothing is started yet. */
export async function createStack({ compose, images }) {
  const id = randomBytes(4).toString('hex');
  const project = `switchyardtest${id}`;
  const image = `switchyard-test-${id}`;
  const [traffic, control] = await freePorts(2);
  const env = {
    ...withoutSettings(compose.env),
    SWITCHYARD_IMAGE: image,
    SWITCHYARD_TRAFFIC_PORT: String(traffic),
    SWITCHYARD_CONTROL_PORT: String(control),
    SWITCHYARD_NET: await freeNetwork(compose.env),
    SWITCHYARD_NODE_IMAGE: images.node,
    SWITCHYARD_REDIS_IMAGE: images.redis,
  };
  const docker = (words, options) => run(['docker', ...words], { env, cwd: root, ...options });
  // Named, so that a developer's override file is left out.
  const base = [...compose.words, '--file', 'docker-compose.yml', '--project-name', project];
  const composeRun = (words, timeoutMs = 180_000) => run([...base, ...words], { env, cwd: root, timeoutMs });
  const label = `label=com.docker.compose.project=${project}`;
  const stagesBefore = await stageImages(env);

  const containers = async (service) => {
    const filter = service === undefined ? [] : ['--filter', `label=com.docker.compose.service=${service}`];
    const ids = idsIn(await docker(['ps', '--all', '--quiet', '--filter', label, ...filter]));
    if (ids.length === 0) return [];
    const lines = await docker(['inspect', '--format', facts, ...ids]);
    return lines.split('\n').flatMap((line) => (line.startsWith('{') ? describe(JSON.parse(line)) : []));
  };

  return {
    project,
    traffic: `http://127.0.0.1:${traffic}`,
    control: `http://127.0.0.1:${control}`,
    build: () => composeRun(['build'], 300_000),
    /** Starts what does not run and waits until all of it is healthy. */
    async up({ backends } = {}) {
      const scale = backends === undefined ? [] : ['--scale', `demo-backend=${backends}`];
      const waits = compose.version === 'v2' ? ['--wait', '--wait-timeout', '120'] : [];
      await composeRun(['up', '--detach', ...waits, ...scale]);
      await eventually(async () => (await containers()).every(({ health }) => health === 'healthy'), {
        timeoutMs: 120_000,
        intervalMs: 500,
        what: 'all containers healthy',
      });
    },
    /** Removes the containers and the network, and keeps the volumes. */
    down: () => composeRun(['down']),
    containers,
    async containerAt(ip) {
      const found = (await containers()).find((container) => container.ip === ip);
      if (found === undefined) throw new Error(`no container has the address ${ip}`);
      return found;
    },
    kill: (container) => docker(['kill', '--signal', 'KILL', container.id]),
    start: (container) => docker(['start', container.id]),
    exec: (container, words) => docker(['exec', container.id, ...words]),
    logs: (container, lines) => docker(['logs', '--tail', String(lines), container.id]),
    /** Removes everything of this stack; gives what is left, which should be nothing. */
    async remove() {
      const now = idsIn(await docker(['ps', '--all', '--quiet', '--filter', label]));
      if (now.length > 0) await docker(['rm', '--force', '--volumes', ...now], { timeoutMs: 60_000 });
      await attempt([...base, 'down', '--volumes', '--remove-orphans'], { env, cwd: root, timeoutMs: 60_000 });
      await attempt(['docker', 'image', 'rm', image, `${image}-redis`, `${image}-backup`], { env });
      const stages = (await stageImages(env)).filter((stage) => !stagesBefore.includes(stage));
      if (stages.length > 0) await attempt(['docker', 'image', 'rm', ...stages], { env });
      const left = await Promise.all([
        docker(['ps', '--all', '--quiet', '--filter', label]),
        docker(['network', 'ls', '--quiet', '--filter', label]),
        docker(['volume', 'ls', '--quiet', '--filter', label]),
        docker(['image', 'ls', '--quiet', `${image}*`]),
      ]);
      return left.join('').trim();
    },
  };
}

// What is wanted of a container, as a line of JSON: all that Docker knows of 20 containers would be too much.
const facts = `{${Object.entries({
  id: '.Id',
  service: 'index .Config.Labels "com.docker.compose.service"',
  running: '.State.Running',
  networks: '.NetworkSettings.Networks',
  user: '.Config.User',
  init: '.HostConfig.Init',
  readOnly: '.HostConfig.ReadonlyRootfs',
  capDrop: '.HostConfig.CapDrop',
  securityOptions: '.HostConfig.SecurityOpt',
  restart: '.HostConfig.RestartPolicy.Name',
  log: '.HostConfig.LogConfig.Config',
  ports: '.HostConfig.PortBindings',
})
  .map(([name, path]) => `"${name}":{{json (${path})}}`)
  .join(',')},"health":"{{if .State.Health}}{{.State.Health.Status}}{{end}}"}`;

function describe({ networks, log, ports, capDrop, securityOptions, ...rest }) {
  const [network] = Object.values(networks);
  return {
    ...rest,
    // Of a container that has stopped: the fixed address if it has one.
    ip: network?.IPAddress || network?.IPAMConfig?.IPv4Address,
    capDrop: capDrop ?? [],
    securityOptions: securityOptions ?? [],
    logLimit: log['max-size'],
    published: Object.values(ports ?? {})
      .flat()
      .map(({ HostIp, HostPort }) => `${HostIp}:${HostPort}`),
  };
}

// Stages of our Dockerfile that have no name: what the classic builder leaves behind.
async function stageImages(env) {
  const words = ['docker', 'image', 'ls', '--all', '--quiet', '--no-trunc', '--filter', 'label=switchyard.stage'];
  return [...new Set(idsIn(await run(words, { env })))];
}

function withoutSettings(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(COMPOSE_|SWITCHYARD_)/.test(name)));
}

// A warning of the client may stand before the document.
function jsonIn(output) {
  return JSON.parse(output.slice(output.search(/^\[/m)));
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports = await Promise.all(
    servers.map((server) => new Promise((resolve) => server.once('listening', () => resolve(server.address().port)))),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

// Of 10.x.y.0/24, one that neither a network of the engine nor this machine has.
async function freeNetwork(env) {
  const ids = idsIn(await run(['docker', 'network', 'ls', '--quiet'], { env }));
  const networks = jsonIn(await run(['docker', 'network', 'inspect', ...ids], { env }));
  const taken = [
    ...networks.flatMap(({ IPAM }) => (IPAM.Config ?? []).flatMap(({ Subnet }) => Subnet ?? [])),
    ...Object.values(networkInterfaces()).flatMap((list) => list.flatMap(({ cidr }) => cidr ?? [])),
  ];
  const candidates = Array.from({ length: 100 }, (_, index) =>
    index < 50 ? `10.${randomInt(128, 250)}.${randomInt(256)}` : `192.168.${randomInt(256)}`,
  );
  const net = candidates.find((candidate) => !taken.some((cidr) => overlaps(cidr, `${candidate}.0/24`)));
  if (net === undefined) throw new Error(`no network is free beside ${taken.join(', ')}`);
  return net;
}

function overlaps(one, other) {
  const [a, b] = [one, other].map((cidr) => {
    const [address, bits] = cidr.split('/');
    const numbers = address.split('.').map(Number);
    return { bits: Number(bits), value: numbers.reduce((sum, number) => sum * 256 + number, 0) };
  });
  if (one.includes(':')) return false;
  const size = 2 ** (32 - Math.min(a.bits, b.bits));
  return Math.floor(a.value / size) === Math.floor(b.value / size);
}
