// How does the yard's Redis group start: which files, which roles, which processes?
//
// All files are written anew at every start from one decision (who is primary, who has which port), instead of being
// patched: then a port that has moved cannot be left behind in one of seven files. What must not be lost is carried
// over: each Sentinel's id and its epochs (a config epoch that fell would make an old fencing token valid again and
// let an old vote count twice), and every line that the yard does not own.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { damageIn, putAside } from './damaged-data.mjs';
import { parseRedisConf, parseSentinelConf, renderRedisConf, renderSentinelConf } from './redis-config.mjs';
import { listening, livePrimary, roleOf } from './redis-live.mjs';
import { pause } from './process-identity.mjs';
import { decidePrimary } from './redis-roles.mjs';

const groupName = 'main';
const nodeNames = ['r1', 'r2', 'r3'];
const sentinelNames = ['s1', 's2', 's3'];
const everyone = [...nodeNames, ...sentinelNames];

/** The yard with Sentinels, as `redis-kind.mjs` wants it. */
export const sentinelKind = {
  name: 'sentinel',
  sentinelNames,
  nodeNames,
  earlierTopology,
  prepare: prepareGroup,
  environment: (ports) => ({
    SWITCHYARD_REDIS_SENTINELS: sentinelNames.map((name) => `127.0.0.1:${ports[name]}`).join(','),
    SWITCHYARD_REDIS_GROUP: groupName,
  }),
  specs: redisSpecs,
  async describe(ports, group) {
    const sentinelPorts = sentinelNames.map((name) => ports[name]);
    const port = await livePrimary({ sentinelPorts, group: groupName });
    const primary = nodeNames.find((name) => ports[name] === port) ?? group.primary;
    return { text: `Redis primary ${primary}, 2 replicas, 3 Sentinels`, primary };
  },
  settled: failoverOver,
  stopOrder: nodesInStopOrder,
};

/** Specifications of the Redis nodes and Sentinels; `primary` is the name of the node that starts as primary. */
function redisSpecs({ home, ports, redisServer }, { primary }) {
  const nodes = nodeNames.map((name) => ({
    name,
    role: 'redis',
    launch: launchNode({ home, name, ports, redisServer }),
    // Long enough for the Sentinels to agree on another primary first: the node then comes back as its replica.
    delays: { firstMs: 3_000 },
  }));
  const sentinels = sentinelNames.map((name) => ({
    name,
    role: 'sentinel',
    launch: launchSentinel({ home, name, ports, primary, redisServer }),
  }));
  return [...nodes, ...sentinels];
}

/** Ports of the last run of this home, as `settlePorts` takes them; undefined when there was none. */
function earlierTopology(home) {
  const text = readIfThere(topologyFile(home));
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Decides the roles and writes the files of all nodes and Sentinels.
 * @returns what `decidePrimary` returns.
 */
function prepareGroup({ home, ports, wanted }) {
  const earlierPorts = earlierTopology(home)?.ports ?? ports;
  const nodes = nodeNames.map((name) => ({ name, port: earlierPorts[name], ...readNode(home, name) }));
  const sentinels = sentinelNames.map((name) => {
    const text = readIfThere(confFile(home, name, 'sentinel'));
    return { name, conf: text === undefined ? undefined : parseSentinelConf(text, groupName) };
  });
  const decision = decidePrimary({ nodes, sentinels: sentinels.flatMap(({ conf }) => conf ?? []) });

  for (const { name } of nodes) {
    writeRedisConf(home, { name, ports, primaryPort: ports[decision.primary] });
  }
  const ids = new Map(sentinels.map(({ name, conf }) => [name, conf?.myid ?? randomBytes(20).toString('hex')]));
  for (const { name, conf } of sentinels) {
    const text = renderSentinelConf({
      group: groupName,
      port: ports[name],
      directory: makeDirectory(home, name),
      myid: ids.get(name),
      primary: ports[decision.primary],
      replicas: nodeNames.filter((node) => node !== decision.primary).map((node) => ports[node]),
      others: sentinelNames
        .filter((other) => other !== name)
        .map((other) => ({ port: ports[other], myid: ids.get(other) })),
      epochs: {
        config: decision.epoch,
        leader: conf?.leaderEpoch ?? 0,
        current: Math.max(conf?.currentEpoch ?? 0, decision.epoch),
      },
      kept: conf?.kept,
    });
    replaceFile(confFile(home, name, 'sentinel'), text);
  }
  const part = (all) => Object.fromEntries(everyone.map((name) => [name, all[name]]));
  replaceFile(topologyFile(home), JSON.stringify({ wanted: part(wanted), ports: part(ports) }));
  return decision;
}

/**
 * How to start a node. At the first start its file is right; at a restart somebody else may have become primary
 * meanwhile, so the running Sentinels are asked, and if they are not there, what they last wrote.
 */
function launchNode({ home, name, ports, redisServer }) {
  return async ({ restart, output = '' }) => {
    const file = confFile(home, name, 'redis');
    let note = '';
    if (restart) {
      const primaryPort =
        (await livePrimary({
          sentinelPorts: sentinelNames.map((s) => ports[s]),
          group: groupName,
          patienceMs: 15_000,
        })) ?? primaryByFiles(home, ports);
      writeRedisConf(home, { name, ports, primaryPort });
      const primary = nodeNames.find((node) => ports[node] === primaryPort);
      note = primary === name ? ' as primary' : ` as replica of ${primary ?? `port ${primaryPort}`}`;
      note += await newBeginning({ home, name, isPrimary: primary === name, primaryPort, output });
    }
    return {
      command: redisServer,
      args: [file],
      cwd: join(home, 'redis', name),
      env: { PATH: process.env.PATH },
      note,
    };
  };
}

/**
 * A replica whose files are damaged begins anew, empty: its primary has everything. Where nobody else is known to have the data, its
 * files stay where they are: they may be all that is left. In words, for the line about the restart.
 */
async function newBeginning({ home, name, isPrimary, primaryPort, output }) {
  const damage = damageIn(output);
  if (damage === undefined) return '';
  const directory = join(home, 'redis', name);
  const said = `; its files are damaged (${damage.replace(/^.*? # /, '').slice(0, 120)})`;
  const isSafe = !isPrimary && (await roleOf(primaryPort)) === 'master';
  if (!isSafe) {
    return `${said} and nobody else is known to have its data: it is tried again as it is. Mend them with redis-check-aof --fix or redis-check-rdb on a copy of ${directory}, or restore a backup`;
  }
  const { aside, why } = putAside(directory, Date.now());
  return aside === undefined
    ? `${said}; ${why}: remove some, then it begins anew`
    : `${said}: it begins anew and copies everything; they are kept in ${aside}`;
}

/** How to start a Sentinel; waits a moment for the node that it is to watch, or its first look would find it down. */
function launchSentinel({ home, name, ports, primary, redisServer }) {
  return async ({ restart }) => {
    if (!restart) await listening(ports[primary], 2_000);
    const args = [confFile(home, name, 'sentinel'), '--sentinel'];
    return { command: redisServer, args, cwd: join(home, 'redis', name), env: { PATH: process.env.PATH }, note: '' };
  };
}

/**
 * Resolves when a running node is primary and most Sentinels name it, or after `patienceMs`. A stop in the middle of a
 * failover would leave files that name the dead primary, though its replicas may hold writes that it has not on disk.
 */
async function failoverOver(ports, patienceMs) {
  const deadlineMs = performance.now() + patienceMs;
  const sentinelPorts = sentinelNames.map((name) => ports[name]);
  for (;;) {
    const port = await livePrimary({ sentinelPorts, group: groupName });
    if (port !== undefined && (await roleOf(port)) === 'master') return;
    // Frozen or dead Sentinels decide nothing: there is nothing to wait for.
    if (performance.now() >= deadlineMs || port === undefined) return;
    await pause(200);
  }
}

/** Replicas first, primary last: the order in which the nodes have to stop so that no acknowledged write is missed. */
async function nodesInStopOrder(ports) {
  const roles = await Promise.all(nodeNames.map(async (name) => ({ name, role: await roleOf(ports[name]) })));
  const primaries = roles.filter(({ role }) => role === 'master').map(({ name }) => name);
  return [nodeNames.filter((name) => !primaries.includes(name)), primaries];
}

function primaryByFiles(home, ports) {
  const nodes = nodeNames.map((name) => ({ name, port: ports[name], ...readNode(home, name) }));
  const sentinels = sentinelNames.flatMap((name) => {
    const text = readIfThere(confFile(home, name, 'sentinel'));
    return text === undefined ? [] : [parseSentinelConf(text, groupName)];
  });
  return ports[decidePrimary({ nodes, sentinels }).primary];
}

function writeRedisConf(home, { name, ports, primaryPort }) {
  const directory = makeDirectory(home, name);
  const before = readIfThere(confFile(home, name, 'redis'));
  const text = renderRedisConf({
    port: ports[name],
    directory,
    replicaOf: ports[name] === primaryPort ? undefined : primaryPort,
    kept: before === undefined ? [] : parseRedisConf(before).kept,
  });
  replaceFile(confFile(home, name, 'redis'), text);
}

function readNode(home, name) {
  const text = readIfThere(confFile(home, name, 'redis'));
  const directory = join(home, 'redis', name);
  const appendOnly = join(directory, 'appendonlydir');
  const files = [join(directory, 'dump.rdb')];
  if (existsSync(appendOnly)) files.push(...readdirSync(appendOnly).map((file) => join(appendOnly, file)));
  const written = files.filter((file) => existsSync(file)).map((file) => statSync(file));
  return {
    conf: text === undefined ? undefined : parseRedisConf(text),
    hasData: written.some(({ size }) => size > 0),
    writtenMs: Math.max(0, ...written.map(({ mtimeMs }) => mtimeMs)),
  };
}

function topologyFile(home) {
  return join(home, 'redis', 'topology.json');
}

function confFile(home, name, kind) {
  return join(home, 'redis', name, `${kind}.conf`);
}

function makeDirectory(home, name) {
  const directory = join(home, 'redis', name);
  mkdirSync(directory, { recursive: true });
  return directory;
}

// A crash in the middle must leave the old file or the new one, never half of it: roles are decided from them.
function replaceFile(file, text) {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
