// One Redis group for one trial: a primary, replicas and Sentinels, each a process; with slow links to the replicas if wanted.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../dev/problem.mjs';
import { ask as askRedis } from '../../dev/resp.mjs';
import { freePorts } from '../free-ports.mjs';
import { until } from '../waiting.mjs';

export const groupName = 'main';
const host = '127.0.0.1';
/** What replicas connect from, so that a link can tell them from clients. */
const replicaHost = '127.0.0.9';
const linkScript = fileURLToPath(new URL('delay-links.mjs', import.meta.url));
const failoverTimeoutMs = 15_000;
let made = 0;

/**
 * Starts 1 primary, `replicas` and `sentinels` and resolves when all are in sync and know each other. With `linkMs` each byte between
 * primary and replicas is under way for so long, whoever is primary; clients and Sentinels are not slowed down.
 */
export async function startGroup(bench, options) {
  const { program, replicas = 2, sentinels: sentinelCount = 3, downAfterMs = 1_000, linkMs, args = [] } = options;
  const size = 1 + replicas;
  const folder = join(bench.directory, `group-${(made += 1)}`);
  const ports = await freePorts(size * 2 + sentinelCount);
  const own = ports.slice(0, size);
  // Under which port others know a node: that of its link when it has one.
  const known = linkMs === undefined ? own : ports.slice(size, size * 2);
  const links = linkMs === undefined ? undefined : await startLinks(bench, { from: known, to: own, linkMs });
  const nodes = own.map((port, at) => {
    const replicaOf = at === 0 ? [] : [`replicaof ${host} ${known[0]}`];
    const lines = [...nodeLines(known[at]), ...(links ? [`bind-source-addr ${replicaHost}`] : []), ...replicaOf];
    const name = `r${at + 1}`;
    return createNode(bench, { program, name, port, knownPort: known[at], folder, lines, args });
  });
  const sentinels = ports.slice(size * 2).map((port, at) => {
    const lines = sentinelLines({
      port,
      primaryPort: known[0],
      quorum: Math.floor(sentinelCount / 2) + 1,
      downAfterMs,
    });
    return createNode(bench, {
      program,
      name: `s${at + 1}`,
      port,
      knownPort: port,
      folder,
      lines,
      args: ['--sentinel'],
    });
  });
  await nodes[0].start();
  await Promise.all(nodes.slice(1).map((node) => node.start()));
  await until(
    async () => infoOf(await nodes[0].ask(['INFO', 'replication']), 'connected_slaves') === String(replicas),
    {
      what: 'the replicas are connected',
      ms: 20_000,
    },
  );
  for (const node of nodes.slice(1)) await until(() => inSync(node), { what: `${node.name} is in sync`, ms: 20_000 });
  await Promise.all(sentinels.map((sentinel) => sentinel.start()));
  await acquainted(sentinels, replicas);
  const group = {
    folder,
    nodes,
    sentinels,
    downAfterMs,
    sentinelAddresses: sentinels.map(({ port }) => `${host}:${port}`).join(','),
    /** The node that most Sentinels name now. */
    async primary() {
      const votes = await Promise.all(
        sentinels.map((one) => one.ask(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', groupName]).catch(() => null)),
      );
      const found = nodes.find(
        ({ knownPort }) => votes.filter((vote) => Number(vote?.[1]) === knownPort).length > votes.length / 2,
      );
      if (found === undefined) throw new Problem(`The Sentinels do not agree: ${JSON.stringify(votes)}`);
      return found;
    },
    /** Another node than `old`, once most Sentinels name it and it says itself that it is primary. */
    primaryOtherThan: (old, ms = 60_000) =>
      until(
        async () => {
          const now = await group.primary();
          return now !== old && (await now.ask(['ROLE']))[0] === 'master' ? now : undefined;
        },
        { what: 'a new primary', ms, everyMs: 20 },
      ),
    /** Kills a node and loses what is under way to its replicas, as when its machine loses power. */
    async crash(node) {
      links?.send({ drop: node.knownPort });
      await node.kill();
    },
    /** Full resynchronisations that all running nodes have served so far. */
    async fullSyncs() {
      const counts = await Promise.all(
        nodes.map(async (node) => Number(infoOf(await node.ask(['INFO', 'stats']).catch(() => ''), 'sync_full') ?? 0)),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    },
    /** What everybody wrote to their logs last, for a trial that failed. */
    logs: () => [...nodes, ...sentinels].map((node) => `--- ${node.name}\n${node.output().slice(-1_500)}`).join('\n'),
  };
  return group;
}

/** Nodes alone, without Sentinels, replicas behind links. */
export const startPlainNodes = (bench, options) => startGroup(bench, { ...options, sentinels: 0 });

/** The value of a field in INFO. */
export function infoOf(text, field) {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(text)?.[1];
}

const nodeLines = (announced) => [
  'repl-diskless-sync-delay 0',
  'enable-debug-command local',
  `replica-announce-ip ${host}`,
  `replica-announce-port ${announced}`,
];

const sentinelLines = ({ port, primaryPort, quorum, downAfterMs }) => [
  `sentinel announce-ip ${host}`,
  `sentinel announce-port ${port}`,
  `sentinel monitor ${groupName} ${host} ${primaryPort} ${quorum}`,
  `sentinel down-after-milliseconds ${groupName} ${downAfterMs}`,
  `sentinel failover-timeout ${groupName} ${failoverTimeoutMs}`,
  `sentinel parallel-syncs ${groupName} 1`,
];

function createNode(bench, { program, name, port, knownPort, folder, lines, args }) {
  const dir = join(folder, name);
  mkdirSync(dir, { recursive: true });
  const config = join(dir, 'redis.conf');
  const kept = args.includes('--sentinel') ? [] : ['save ""', 'appendonly no'];
  writeFileSync(config, `${[`port ${port}`, `bind ${host}`, `dir "${dir}"`, ...kept, ...lines].join('\n')}\n`);
  let node;
  let told = '';
  const ask = (words, ms) => askRedis(port, words, ms);
  return {
    name,
    host,
    port,
    knownPort,
    dir,
    ask,
    pid: () => node.pid,
    /** Resolves when it answers, also that it has loaded its data. */
    async start(ms = 20_000) {
      node = await bench.processes.start({ name, command: program, args: [config, ...args] });
      await until(
        async () => {
          if (!node.isRunning()) throw new Problem(`${name} ended: ${node.output().slice(-500)}`);
          return (await ask(['PING'])) === 'PONG';
        },
        { what: `${name} answers`, ms, everyMs: 10 },
      );
    },
    /** SIGKILL; resolves when it has ended. */
    async kill() {
      node.kill();
      await node.ended;
      told = node.output();
    },
    freeze: () => node.signal('SIGSTOP'),
    resume: () => node.signal('SIGCONT'),
    output: () => (told === '' ? (node?.output() ?? '') : told),
  };
}

async function startLinks(bench, { from, to, linkMs }) {
  const plan = {
    delayMs: linkMs,
    onlyFrom: replicaHost,
    links: from.map((port, at) => ({ port, to: { host, port: to[at] } })),
  };
  const process = await bench.processes.start({
    name: 'slow links',
    command: bench.node,
    args: [linkScript, JSON.stringify(plan)],
    cwd: bench.root,
    talk: true,
  });
  await process.next('ready', 10_000);
  return process;
}

const inSync = async (node) => infoOf(await node.ask(['INFO', 'replication']), 'master_link_status') === 'up';

/** Sentinels greet each other every 2 s; for the start alone they are told to greet faster. */
async function acquainted(sentinels, replicas) {
  const greet = (ms) =>
    Promise.all(sentinels.map((one) => one.ask(['SENTINEL', 'DEBUG', 'PUBLISH-PERIOD', String(ms)])));
  await greet(100);
  for (const sentinel of sentinels) {
    const knows = async () => {
      const facts = await sentinel.ask(['SENTINEL', 'MASTER', groupName]);
      const fact = (name) => Number(facts[facts.indexOf(name) + 1]);
      return fact('num-slaves') === replicas && fact('num-other-sentinels') === sentinels.length - 1;
    };
    await until(knows, { what: `${sentinel.name} knows its group`, ms: 20_000 });
  }
  await greet(2_000);
}
