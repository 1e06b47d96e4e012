// How does the yard's Redis Cluster start: which files, which processes? Three primaries, a replica of each.
//
// Roles are the cluster's own affair: each node remembers them in its nodes.conf, which is written once, for a new cluster,
// and afterwards only touched when ports have moved.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { coveredSlots, forgetAddress, moveNodes, ownerOfSlot, parseNodes, renderNodesConf } from './cluster-files.mjs';
import { pause } from './process-identity.mjs';
import { parseRedisConf, renderRedisConf } from './redis-config.mjs';
import { ask } from './resp.mjs';

const nodeNames = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6'];
/** CLUSTER KEYSLOT of every key of Switchyard: they share the hash tag {switchyard}. */
const ownSlot = 12_385;
const allSlots = 16_384;

/** The yard on a Redis Cluster, as `redis-kind.mjs` wants it. */
export const clusterKind = {
  name: 'cluster',
  nodeNames,
  earlierTopology: (home) => readTopology(home),
  prepare: prepareCluster,
  environment: (ports) => ({
    SWITCHYARD_REDIS_CLUSTER: nodeNames.map((name) => `127.0.0.1:${ports[name]}`).join(','),
    SWITCHYARD_REDIS_GROUP: 'main',
  }),
  specs: ({ home, redisServer }) =>
    nodeNames.map((name) => ({
      name,
      role: 'redis',
      launch: async () => ({
        command: redisServer,
        args: [confFile(home, name)],
        cwd: join(directoryOf(home), name),
        env: { PATH: process.env.PATH },
        note: '',
      }),
      // Long enough for the others to elect its replica first: the node then comes back as that one's replica.
      delays: { firstMs: 3_000 },
    })),
  async describe(ports) {
    const owner = ownerOfSlot(ownSlot, await viewsOf(ports));
    const primary = nodeNames.find((name) => ports[name] === owner?.port);
    return {
      text: `Redis Cluster of 3 primaries and 3 replicas${primary === undefined ? '' : `, our keys on ${primary}`}`,
      primary,
    };
  },
  settled,
  stopOrder,
};

/**
 * Writes what the nodes need. A cluster is made up once: before any node has run. Later its files are only moved to other
 * ports; a node whose files are gone comes back as a stranger, and is named.
 */
function prepareCluster({ home, ports, wanted }) {
  const earlier = readTopology(home);
  const known = nodeNames.filter((name) => existsSync(nodesFile(home, name)));
  const isNew = earlier === undefined ? known.length === 0 : earlier.created !== true;
  const warnings = [];
  if (isNew) {
    // Ids first: an interrupted first start goes on with the same ones, and no node has run before `created` is written.
    const ids = earlier?.ids ?? Object.fromEntries(nodeNames.map((name) => [name, randomBytes(20).toString('hex')]));
    const record = { wanted: part(wanted), ports: part(ports), ids };
    writeTopology(home, { ...record, created: false });
    const members = nodeNames.map((name) => ({
      name,
      id: ids[name],
      port: ports[name],
      busPort: ports[`${name} bus`],
    }));
    for (const name of nodeNames) replaceFile(nodesFile(home, name), renderNodesConf(name, members));
    writeTopology(home, { ...record, created: true });
  } else {
    for (const name of nodeNames.filter((each) => !known.includes(each)))
      warnings.push(lostText(name, 'has lost its folder'));
    for (const name of putAsideEmptyPrimaries(home))
      warnings.push(lostText(name, 'was a primary, but its data is gone'));
    const before = earlier?.ports ?? ports;
    const moves = nodeNames.map((name) => ({ from: addressIn(before, name), to: addressIn(ports, name) }));
    const isThere = (name) => existsSync(nodesFile(home, name));
    const lost = nodeNames.filter((name) => !isThere(name)).map((name) => addressIn(before, name));
    for (const name of nodeNames.filter(isThere)) {
      const text = lost.reduce(forgetAddress, readFileSync(nodesFile(home, name), 'utf8'));
      replaceFile(nodesFile(home, name), moveNodes(text, moves));
    }
    writeTopology(home, { ...earlier, wanted: part(wanted), ports: part(ports), created: true });
  }
  for (const name of nodeNames) writeConf(home, name, ports);
  const because = isNew ? 'first boot, a new cluster' : 'the cluster decides by itself';
  return { because, ...(warnings.length === 0 ? {} : { warning: warnings.join('\n') }) };
}

const lostText = (name, why) =>
  `${name} ${why}: it starts empty and is not in the cluster, so that its replica keeps the data. ` +
  'docs/redis.md (Redis Cluster) has the three requests that mend it.';

/**
 * A primary that lost its data but not its nodes.conf would come back as an empty primary, and its replica would copy the
 * emptiness. Without that file it is a stranger, and the replica that has the data can be promoted. Gives their names.
 */
function putAsideEmptyPrimaries(home) {
  const nodes = nodeNames
    .filter((name) => existsSync(nodesFile(home, name)))
    .map((name) => {
      const seen = parseNodes(readFileSync(nodesFile(home, name), 'utf8'));
      return { name, myself: seen.find(({ isMyself }) => isMyself), hasData: hasData(home, name) };
    });
  const lost = nodes.filter(
    ({ myself, hasData: some }) =>
      myself?.isPrimary && !some && nodes.some((other) => other.hasData && other.myself?.follows === myself.id),
  );
  for (const { name } of lost) renameSync(nodesFile(home, name), `${nodesFile(home, name)}.without-data`);
  return lost.map(({ name }) => name);
}

/** Resolves when every slot has an owner that has not failed, or after `patienceMs`. */
async function settled(ports, patienceMs) {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const views = await viewsOf(ports);
    // Frozen or dead nodes elect nobody: there is nothing to wait for.
    if (views.length < 2 || views.some((view) => coveredSlots(view) === allSlots)) return;
    if (performance.now() >= deadlineMs) return;
    await pause(200);
  }
}

/** Replicas first, primaries last, so that no acknowledged write is missed on a disk. */
async function stopOrder(ports) {
  const roles = await Promise.all(
    nodeNames.map(async (name) => {
      const myself = (await viewOf(ports[name]))?.find(({ isMyself }) => isMyself);
      return { name, isPrimary: myself?.isPrimary ?? false };
    }),
  );
  const names = (isPrimary) => roles.filter((one) => one.isPrimary === isPrimary).map(({ name }) => name);
  return [names(false), names(true)];
}

async function viewsOf(ports) {
  const views = await Promise.all(nodeNames.map((name) => viewOf(ports[name])));
  return views.filter((view) => view !== undefined);
}

async function viewOf(port) {
  try {
    return parseNodes(await ask(port, ['CLUSTER', 'NODES'], 500));
  } catch {
    return undefined;
  }
}

function writeConf(home, name, ports) {
  const file = confFile(home, name);
  const kept = existsSync(file) ? parseRedisConf(readFileSync(file, 'utf8')).kept : [];
  const text = renderRedisConf({
    port: ports[name],
    directory: join(directoryOf(home), name),
    busPort: ports[`${name} bus`],
    kept,
  });
  replaceFile(file, text);
}

function hasData(home, name) {
  const directory = join(directoryOf(home), name);
  const appendOnly = join(directory, 'appendonlydir');
  const files = [join(directory, 'dump.rdb')];
  if (existsSync(appendOnly)) files.push(...readdirSync(appendOnly).map((file) => join(appendOnly, file)));
  return files.some((file) => existsSync(file) && statSync(file).size > 0);
}

const addressIn = (ports, name) => ({ port: ports[name], busPort: ports[`${name} bus`] });
const part = (all) =>
  Object.fromEntries(nodeNames.flatMap((name) => [name, `${name} bus`]).map((name) => [name, all[name]]));

// A folder of its own: the data of the other kind stays where it is, and neither can be taken for the other.
const directoryOf = (home) => join(home, 'redis-cluster');
const topologyFile = (home) => join(directoryOf(home), 'topology.json');
const confFile = (home, name) => join(directoryOf(home), name, 'redis.conf');
const nodesFile = (home, name) => join(directoryOf(home), name, 'nodes.conf');

function readTopology(home) {
  try {
    return JSON.parse(readFileSync(topologyFile(home), 'utf8'));
  } catch {
    return undefined;
  }
}

function writeTopology(home, record) {
  replaceFile(topologyFile(home), JSON.stringify(record));
}

// A crash in the middle must leave the old file or the new one, never half of it.
function replaceFile(file, text) {
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}
