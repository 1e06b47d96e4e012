// Which port does each part get? The contract's, shifted or overridden by the environment, else the next free one.
import { createServer } from 'node:net';

const single = [
  ['traffic', 'SWITCHYARD_DISPATCHER_TRAFFIC_PORT', 4700],
  ['control', 'SWITCHYARD_DISPATCHER_CONTROL_PORT', 4710],
  ['registry', 'SWITCHYARD_REGISTRY_PORT', 4721],
  ['heartbeat-monitor', 'SWITCHYARD_MONITOR_PORT', 4722],
  ['dispatcher', 'SWITCHYARD_DISPATCHER_PORT', 4723],
  ['replication-manager', 'SWITCHYARD_REPLICATION_PORT', 4724],
  ['backup-worker', 'SWITCHYARD_BACKUP_PORT', 4725],
  ['heartbeat-monitor-2', 'SWITCHYARD_MONITOR_2_PORT', 4726],
];
const lists = {
  sentinel: [
    ['SWITCHYARD_REDIS_PORTS', [['r1', 4731], ['r2', 4732], ['r3', 4733]]], // prettier-ignore
    ['SWITCHYARD_SENTINEL_PORTS', [['s1', 4741], ['s2', 4742], ['s3', 4743]]], // prettier-ignore
  ],
  cluster: [
    ['SWITCHYARD_REDIS_PORTS', [['r1', 4731], ['r2', 4732], ['r3', 4733], ['r4', 4734], ['r5', 4735], ['r6', 4736]]], // prettier-ignore
  ],
};
const busDistance = 10_000;

/**
 * The ports that are wanted, before looking whether they are free. An explicit port is taken as it is; only the
 * contract's ports are shifted by SWITCHYARD_PORT_OFFSET. `redisKind`: 'sentinel', 'cluster' (its nodes have a second port
 * each, for the cluster bus: `r1 bus`), or undefined when no Redis is started.
 * @returns {{ ok: true, wanted: Record<string, number>, demoBase: number } | { ok: false, why: string[] }}
 */
export function wantedPorts(env, redisKind = 'sentinel') {
  const why = [];
  const read = (name, text) => {
    const port = Number(text);
    if (/^\d+$/.test(text.trim()) && port >= 1 && port <= 65_535) return port;
    why.push(`${name} must be a port from 1 to 65535, not "${text}"`);
    return 0;
  };
  const offsetText = env.SWITCHYARD_PORT_OFFSET || '0';
  const offset = Number(offsetText);
  if (!/^-?\d+$/.test(offsetText) || 4700 + offset < 1024 || 4801 + offset > 65_000) {
    return {
      ok: false,
      why: [`SWITCHYARD_PORT_OFFSET must be a whole number from -3676 to 60199, not "${offsetText}"`],
    };
  }
  const wanted = {};
  for (const [part, name, port] of single) wanted[part] = env[name] ? read(name, env[name]) : port + offset;
  for (const [name, parts] of lists[redisKind] ?? []) {
    const given = env[name]?.split(',').map((text) => read(name, text));
    if (given && given.length !== parts.length)
      why.push(`${name} must be ${parts.length} ports with commas between them`);
    for (const [index, [part, port]] of parts.entries()) wanted[part] = given?.[index] ?? port + offset;
  }
  if (redisKind === 'cluster')
    for (const [part] of lists.cluster[0][1]) wanted[`${part} bus`] = busPortOf(wanted[part]);
  const demoBase = env.SWITCHYARD_DEMO_PORT ? read('SWITCHYARD_DEMO_PORT', env.SWITCHYARD_DEMO_PORT) : 4801 + offset;
  const taken = new Map();
  for (const [part, port] of Object.entries(wanted)) {
    if (taken.has(port)) why.push(`${part} and ${taken.get(port)} are both told to use port ${port}`);
    taken.set(port, part);
  }
  return why.length > 0 ? { ok: false, why } : { ok: true, wanted, demoBase };
}

/** Redis's own distance; downwards where there is no such port. */
function busPortOf(port) {
  return port + busDistance <= 65_535 ? port + busDistance : port - busDistance;
}

/**
 * Gives each part a free port: the one it had in the earlier run of this home if the same was wanted then (`earlier`
 * holds Redis nodes and Sentinels only: others remember their addresses), else the wanted one, else the next free one
 * that nobody else wants.
 * @returns {Promise<{ ports: Record<string, number>, moved: { part: string, from: number, to: number }[] }>}
 */
export async function settlePorts({ wanted, earlier, isFree = portIsFree }) {
  const ports = {};
  const moved = [];
  const reserved = new Set(Object.values(wanted));
  for (const [part, port] of Object.entries(wanted)) {
    const before = earlier?.wanted?.[part] === port ? earlier.ports?.[part] : undefined;
    if (before !== undefined && before !== port && !reserved.has(before) && (await isFree(before))) {
      ports[part] = before;
    } else if (await isFree(port)) {
      ports[part] = port;
    } else {
      ports[part] = await nextFree(port, reserved, isFree);
      moved.push({ part, from: port, to: ports[part] });
    }
    reserved.add(ports[part]);
  }
  return { ports, moved };
}

/** What to tell about ports that were taken; `holderOf(port)` says by whom, or undefined. */
export function portNotes(moved, holderOf) {
  const shown = moved.slice(0, 3).map(({ part, from, to }) => {
    const holder = holderOf(from);
    return `port ${from} (${part}) is taken${holder ? ` by ${holder}` : ''}; using ${to}`;
  });
  if (moved.length === shown.length) return shown;
  const rest = moved.slice(shown.length).map(({ from, to }) => `${from} -> ${to}`);
  return [...shown, `so are ${rest.join(', ')} (SWITCHYARD_PORT_OFFSET=1000 moves all ports)`];
}

async function nextFree(from, reserved, isFree) {
  for (let port = from + 1; port <= Math.min(from + 1_000, 65_535); port += 1) {
    if (!reserved.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`No free port from ${from} to ${from + 1_000}. Set SWITCHYARD_PORT_OFFSET to move all ports.`);
}

/**
 * Hands out ports to demo back ends, from `base` up. A port that was in use in the last 10 s comes last: somebody may
 * still believe that the instance which had it lives there.
 */
export function demoPorts({ base, nowMs, isFree = portIsFree }) {
  const inUse = new Set();
  const releasedMs = new Map();
  return {
    async take() {
      let fallback;
      for (let port = base; port < Math.min(base + 1_000, 65_535); port += 1) {
        if (inUse.has(port) || !(await isFree(port))) continue;
        if (nowMs() - (releasedMs.get(port) ?? -Infinity) >= 10_000) {
          inUse.add(port);
          return port;
        }
        fallback ??= port;
      }
      if (fallback === undefined) throw new Error(`No free port from ${base} up. Set SWITCHYARD_DEMO_PORT to another.`);
      inUse.add(fallback);
      return fallback;
    },
    release(port) {
      inUse.delete(port);
      releasedMs.set(port, nowMs());
    },
  };
}

/**
 * Above 1023, browsers and fetch refuse to talk to these ("bad port", fetch.spec.whatwg.org, port blocking): a page or an API there
 * would look dead.
 */
const refusedByBrowsers = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10_080,
]);

/** Whether this process could listen there on loopback now, and others would talk to it. */
export function portIsFree(port) {
  if (refusedByBrowsers.has(port)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
