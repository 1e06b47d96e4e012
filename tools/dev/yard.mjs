// Which processes make a yard, with which settings? A table of specifications, nothing is started here.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The services: [process name, app, variable of its own port]. The process name is also the name of its port. */
export const services = [
  ['registry', 'registry', 'SWITCHYARD_REGISTRY_PORT'],
  ['heartbeat-monitor', 'heartbeat-monitor', 'SWITCHYARD_MONITOR_PORT'],
  ['heartbeat-monitor-2', 'heartbeat-monitor', 'SWITCHYARD_MONITOR_PORT'],
  ['dispatcher', 'dispatcher', 'SWITCHYARD_DISPATCHER_PORT'],
  ['replication-manager', 'replication-manager', 'SWITCHYARD_REPLICATION_PORT'],
  ['backup-worker', 'backup-worker', 'SWITCHYARD_BACKUP_PORT'],
];

// Of the caller's environment these would be wrong for every child at once.
const notInherited =
  /^(NODE_OPTIONS|NODE_COMPILE_CACHE|npm_.*|INIT_CWD|SWITCHYARD_(INSTANCE_ID|HOST|ADVERTISE_HOST|STATE_DIR|HOME|PORT_OFFSET|REDIS_KIND|REDIS_SENTINELS|REDIS_CLUSTER|.*_PORTS?))$/;

/**
 * The environment that all services share. `setup`: `{ root, home, cache, ports, redisServer, redisKind, redisUrl }`, with
 * `redisUrl` instead of `redisKind` when somebody else's Redis is to be used.
 */
export function commonEnvironment(setup, inherited) {
  const { root, home, cache, ports, redisServer, redisKind, redisUrl } = setup;
  const env = Object.fromEntries(Object.entries(inherited).filter(([name]) => !notInherited.test(name)));
  const redis = redisUrl ? { SWITCHYARD_REDIS_URL: redisUrl } : redisKind.environment(ports);
  return {
    ...env,
    ...redis,
    PATH: `${join(root, 'node_modules', '.bin')}:${env.PATH ?? ''}`,
    NODE_COMPILE_CACHE: cache,
    // Each thread of glibc would keep a heap of its own: 7 MB for each idle service.
    MALLOC_ARENA_MAX: env.MALLOC_ARENA_MAX || '2',
    SWITCHYARD_HOST: '127.0.0.1',
    SWITCHYARD_REGISTRY_URL: `http://127.0.0.1:${ports.registry}`,
    SWITCHYARD_BACKUP_REPOSITORY: env.SWITCHYARD_BACKUP_REPOSITORY || join(home, 'backups'),
    ...(redisServer === undefined ? {} : { SWITCHYARD_REDIS_SERVER: redisServer }),
  };
}

/** Specifications for the supervisor: the six services (two monitors). */
export function serviceSpecs(setup, environment) {
  return services.map(([name, app, portVariable]) => ({
    name,
    role: 'service',
    launch: async () =>
      appCommand(setup, app, {
        ...environment,
        [portVariable]: String(setup.ports[name]),
        SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(setup.ports.traffic),
        SWITCHYARD_DISPATCHER_CONTROL_PORT: String(setup.ports.control),
        SWITCHYARD_STATE_DIR: join(setup.home, 'state', name),
        // names for people: nobody becomes primary by them
        SWITCHYARD_REPLICATION_NODE_NAMES: (setup.redisKind?.nodeNames ?? [])
          .map((node) => `${node}=127.0.0.1:${setup.ports[node]}`)
          .join(','),
        SWITCHYARD_REPLICATION_LOG_FILES: redisLogs(setup),
      }),
  }));
}

/** Where the supervisor puts what nodes and Sentinels say; a path with a comma could not be told. */
function redisLogs({ home, redisKind }) {
  if (home.includes(',')) return '';
  const names = [...(redisKind?.nodeNames ?? []), ...(redisKind?.sentinelNames ?? [])];
  return names.map((name) => `${name}=${join(home, 'logs', `${name}.log`)}`).join(',');
}

/**
 * Specifications of `count` demo back ends. Every start is a new instance with an id that was never used before:
 * a restarted process has forgotten everything, and whoever remembers the old one must not mix them up.
 */
export function demoSpecs(setup, environment, { count, demoPorts, started }) {
  return Array.from({ length: count }, (_, index) => {
    const name = `demo-${index + 1}`;
    let port;
    return {
      name,
      role: 'demo',
      mayLeave: true,
      async launch() {
        const id = `${name}-${randomInt(36 ** 4)
          .toString(36)
          .padStart(4, '0')}`;
        port = await demoPorts.take();
        started(name, id);
        const command = appCommand(setup, 'demo-backend', {
          ...environment,
          SWITCHYARD_INSTANCE_ID: id,
          SWITCHYARD_DEMO_PORT: String(port),
          SWITCHYARD_DEMO_SERVICE: 'demo-backend',
          SWITCHYARD_STATE_DIR: join(setup.home, 'state', name),
        });
        return { ...command, note: ` as ${id} on port ${port}`, facts: { instanceId: id, port } };
      },
      onEnd() {
        if (port !== undefined) demoPorts.release(port);
        port = undefined;
      },
    };
  });
}

// V8 lets the young generation grow to three times 16 MiB before it looks whether anything in it is still needed: about 60 MB for each
// process that has little to do. The dispatcher keeps it: there it saves time on each request.
const smallYoungGeneration = ['--max-semi-space-size=2'];

function appCommand({ root, node }, app, env) {
  const telemetry = pathToFileURL(join(root, 'libs', 'runtime', 'src', 'telemetry.ts')).href;
  const memory = app === 'dispatcher' ? [] : smallYoungGeneration;
  const args = [...memory, '--import', telemetry, join('apps', app, 'src', 'main.ts')];
  return { command: node, args, cwd: root, env };
}
