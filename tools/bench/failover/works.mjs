// What is done to a group, under which number, and how is each trial set up?
import { check } from './check.mjs';
import { crash, planned, stale } from './failovers.mjs';
import { jobs, persistent } from './jobs.mjs';
import { startManager } from './manager.mjs';
import { startGroup, startPlainNodes } from './redis-group.mjs';
import { throughput } from './throughput.mjs';
import { startWriter } from './writer.mjs';

/** Replication over a link of so much each way is what makes asynchronous replication lose something. */
const atLeastOneReplica = ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '2'];
const throughputLinkMs = 2;

/** A group and, for ours, its manager. */
async function setUp({ bench, stage, peer, program }, options) {
  const group = await startGroup(bench, { program, ...options });
  stage.logs.push(group.logs);
  const manager = peer.managed ? await startManager(bench, group) : undefined;
  if (manager !== undefined) stage.logs.push(() => `--- manager\n${manager.output()}`);
  return { group, manager };
}

/** The same with a writer that keeps a ledger. */
async function setUpWriter(trial, options = {}, plan = {}) {
  const { bench, stage, peer, seconds } = trial;
  const { group, manager } = await setUp(trial, options);
  const writer = await startWriter(bench, { client: peer.name, group, ...plan });
  stage.logs.push(() => `--- writer\n${writer.output()}`);
  const stubborn = (address) =>
    startWriter(bench, { client: 'stubborn', address, loops: 1, paceMs: [5, 6], prefix: 'stale' });
  return { group, manager, writer, seconds, stubborn };
}

const crashAfter = (downAfterMs) => ({
  name: `crash-${downAfterMs}`,
  number: 1,
  title: `1. kill -9 of the primary, down-after ${downAfterMs} ms`,
  run: async (trial) => crash(await setUpWriter(trial, { downAfterMs })),
});

const crashOverLink = (linkMs, level) => ({
  name: `link-${linkMs}-${level}`,
  number: 4,
  title: `4. machine of the primary lost with what was under way, replicas ${linkMs} ms away, level ${level}`,
  async run(trial) {
    const args = level === 'replicated' && !trial.peer.managed ? atLeastOneReplica : [];
    const settled = await setUpWriter(trial, { downAfterMs: 1_000, linkMs, args }, { level });
    const { firstAckMs, acked, lost } = await crash(settled);
    return { firstAckMs, acked, lost };
  },
});

const jobsThrough = (trouble, title) => ({
  name: `jobs-${trouble}`,
  number: 6,
  title: `6. BullMQ: ${title}`,
  async run(trial) {
    const { group } = await setUp(trial, { downAfterMs: 1_000, args: persistent });
    return jobs({ bench: trial.bench, group, client: trial.peer.name, seconds: trial.seconds, trouble });
  },
});

export const failoverWorks = [
  crashAfter(1_000),
  crashAfter(500),
  {
    name: 'planned',
    number: 2,
    title: '2. planned switchover under load',
    run: async (trial) => planned(await setUpWriter(trial)),
  },
  {
    name: 'stale',
    number: 3,
    title: '3. primary stopped (SIGSTOP), replaced, woken up (SIGCONT); a client stays with it',
    run: async (trial) => stale(await setUpWriter(trial)),
  },
  ...[5, 25].flatMap((linkMs) => [crashOverLink(linkMs, 'async'), crashOverLink(linkMs, 'replicated')]),
  {
    name: 'throughput',
    number: 5,
    title: '5. writes that a replica has to have, replicas 2 ms away, 512 callers in one process',
    async run({ bench, stage, peer, program, seconds }) {
      const group = await startPlainNodes(bench, { program, linkMs: throughputLinkMs });
      stage.logs.push(group.logs);
      return throughput({ bench, group, client: peer.name, seconds });
    },
  },
  jobsThrough('kill', 'the primary is killed'),
  jobsThrough('freeze', 'the primary is frozen for 10 s or more, then wakes up'),
  jobsThrough('blackout', 'all nodes and Sentinels are killed and come back later'),
  {
    name: 'check',
    number: 10,
    title: '10. is the data of all nodes the same? One key of one replica was changed',
    async run(trial) {
      const { group, manager } = await setUp(trial, { downAfterMs: 1_000 });
      return check({ bench: trial.bench, group, manager, keys: trial.keys });
    },
  },
];
