// One cut from its beginning to its end: what the nodes were, what the clients were promised, and what is left of it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { findRedisServer } from '../dev/redis-server.mjs';
import { readReply } from '../dev/resp.mjs';

const root = join(import.meta.dirname, '..', '..');
const writerScript = join(root, 'tools/bench/failover/ledger-writer.mjs');
const managerScript = join(root, 'apps/replication-manager/src/main.ts');
const [redisPort, sentinelPort, managerPort] = [6379, 26379, 4724];
const group = 'main';
const downAfterMs = 1_000;
const settleMs = 2_000;
const healMs = 45_000;
const data = ['m1', 'm2', 'm3'];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let runs = 0;

/** `{ scenario, managed, failedOver, nearAcked, nearLost, farAcked, farLost, healedMs, wrong }`. */
export async function runScenario({ network, processes, directory, scenario, managed, seconds, tell }) {
  const beginMs = performance.now();
  const say = (text) => tell(`  ${((performance.now() - beginMs) / 1_000).toFixed(1).padStart(5)} s  ${text}`);
  const stage = {
    network,
    processes,
    folder: join(directory, `run-${(runs += 1)}`),
    redis: await findRedisServer({ install: false }),
  };
  await startNodes(stage);
  if (managed) await startManager(stage);
  const client = managed ? 'ours' : 'ioredis-tuned';
  const writers = { near: await startWriter(stage, 'near', client), far: await startWriter(stage, 'far', client) };
  const watch = watchRoles(stage, say);
  say('everybody is well, both clients write');
  await pause(settleMs);
  scenario.cut(network);
  const cutMs = nowMs();
  say('cut');
  await pause(seconds * 1_000);
  network.mend();
  const mendedMs = nowMs();
  say('mended');
  const healed = await healing(stage);
  await watch.stop();
  const failedOver = watch.everPrimary().length > 1;
  say(healed === undefined ? 'not healed' : `healed: ${healed.primary} is primary, the others follow it`);
  await pause(settleMs);
  const primary = healed?.primary ?? 'm1';
  const ledgers = {};
  for (const [name, writer] of Object.entries(writers)) {
    ledgers[name] = await settle(stage, { writer, primary, cutMs, mendedMs });
    const { acked, lost, duringCut, errors } = ledgers[name];
    say(`client ${name}: ${acked} acknowledged, ${duringCut} of them after the cut, ${lost} lost; ${told(errors)}`);
  }
  const wrong = [
    ...(healed === undefined ? [`it had not healed after ${healMs / 1_000} s`] : []),
    ...(failedOver === scenario.failover
      ? []
      : [scenario.failover ? 'nobody failed over' : 'it failed over for nothing']),
    ...(scenario.failover || ledgers.near.lost + ledgers.far.lost === 0
      ? []
      : ['acknowledged writes are lost without a failover']),
  ];
  return {
    scenario: scenario.name,
    managed,
    failedOver,
    nearAcked: ledgers.near.acked,
    nearLost: ledgers.near.lost,
    farAcked: ledgers.far.acked,
    farLost: ledgers.far.lost,
    healedMs: healed === undefined ? undefined : Math.round(healed.atMs - mendedMs),
    wrong,
  };
}

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const told = (errors) =>
  Object.entries(errors)
    .map(([text, times]) => `${times} times "${text}"`)
    .join(', ') || 'no errors';

async function startNodes(stage) {
  const { network } = stage;
  const primary = network.addressOf('m1');
  for (const machine of data) {
    const address = network.addressOf(machine);
    const replicaOf = machine === 'm1' ? [] : [`replicaof ${primary} ${redisPort}`];
    const lines = [
      'save ""',
      'appendonly no',
      'repl-diskless-sync-delay 0',
      `replica-announce-ip ${address}`,
      ...replicaOf,
    ];
    await startServer(stage, { machine, kind: 'redis', lines, port: redisPort });
  }
  for (const machine of data.slice(1)) {
    await until(
      `${machine} is in sync`,
      async () => (await roleOf(stage, machine)).join(' ') === `slave ${primary} connected`,
    );
  }
  for (const machine of data) {
    const lines = [
      `sentinel announce-ip ${network.addressOf(machine)}`,
      `sentinel monitor ${group} ${primary} ${redisPort} 2`,
      `sentinel down-after-milliseconds ${group} ${downAfterMs}`,
      `sentinel failover-timeout ${group} 10000`,
    ];
    await startServer(stage, { machine, kind: 'sentinel', lines, port: sentinelPort });
  }
  for (const machine of data) {
    await until(`the Sentinel of ${machine} knows the group`, async () => {
      const facts = await ask(network.addressOf(machine), sentinelPort, ['SENTINEL', 'MASTER', group]);
      const fact = (name) => facts[facts.indexOf(name) + 1];
      return fact('num-slaves') === '2' && fact('num-other-sentinels') === '2';
    });
  }
}

async function startServer({ network, processes, folder, redis }, { machine, kind, lines, port }) {
  const dir = join(folder, `${machine}-${kind}`);
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'redis.conf');
  writeFileSync(
    file,
    `${[`port ${port}`, 'bind 0.0.0.0', 'protected-mode no', `dir "${dir}"`, ...lines].join('\n')}\n`,
  );
  const sentinel = kind === 'sentinel' ? ['--sentinel'] : [];
  await startIn({ network, processes }, machine, { name: `${kind} of ${machine}`, words: [redis, file, ...sentinel] });
  await until(
    `${kind} of ${machine} answers`,
    async () => (await ask(network.addressOf(machine), port, ['PING'])) === 'PONG',
  );
}

/** On the side where the majority is in every scenario with a failover. */
async function startManager(stage) {
  const { network, folder } = stage;
  const state = join(folder, 'manager');
  mkdirSync(state, { recursive: true });
  const settings = {
    SWITCHYARD_HOST: '0.0.0.0',
    SWITCHYARD_ADVERTISE_HOST: network.addressOf('far'),
    SWITCHYARD_REPLICATION_PORT: String(managerPort),
    SWITCHYARD_REDIS_SENTINELS: sentinelsOf(network),
    SWITCHYARD_REPLICATION_NODE_NAMES: data
      .map((machine) => `${machine}=${network.addressOf(machine)}:${redisPort}`)
      .join(','),
    SWITCHYARD_STATE_DIR: state,
    SWITCHYARD_LOG_LEVEL: 'warn',
  };
  await startIn(stage, 'far', { name: 'manager', words: [process.execPath, managerScript], env: settings });
  const url = `http://${network.addressOf('far')}:${managerPort}/v1/redis/groups/${group}`;
  await until('the manager sees all nodes', async () => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return answer.ok && (await answer.json()).nodes.length === data.length;
  });
}

async function startWriter(stage, machine, client) {
  const place = { sentinels: sentinelsOf(stage.network), group };
  const plan = { client, place, loops: 4, paceMs: [5, 10], prefix: machine };
  const words = [process.execPath, '--disable-warning=ExperimentalWarning', writerScript, JSON.stringify(plan)];
  const writer = await startIn(stage, machine, { name: `client ${machine}`, words, talk: true });
  await writer.next('ready', 20_000);
  return writer;
}

/** Ends a writer and asks the primary for what it was promised. */
async function settle({ network }, { writer, primary, cutMs, mendedMs }) {
  const stopped = writer.next('stopped', 20_000);
  writer.send({ do: 'stop', marks: [cutMs, mendedMs] });
  const { acked, errors, told: seen } = await stopped;
  const verified = writer.next('verified', 60_000);
  writer.send({ do: 'verify', node: { host: network.addressOf(primary), port: redisPort } });
  const { lost, failed } = await verified;
  if (failed !== undefined) throw new Error(`the ledger could not be checked: ${failed}`);
  return { acked, errors, lost, duringCut: seen[0].count - seen[1].count };
}

function startIn({ network, processes }, machine, { words, env = {}, ...plan }) {
  const [command, ...args] = [...network.inside(machine), ...words];
  return processes.start({ ...plan, command, args, cwd: root, env: { ...process.env, ...env } });
}

const sentinelsOf = (network) => data.map((machine) => `${network.addressOf(machine)}:${sentinelPort}`).join(',');

/** Tells each change of a role as it happens. */
function watchRoles(stage, say) {
  const known = new Map();
  const primaries = new Set();
  const stopper = new AbortController();
  const loop = (async () => {
    while (!stopper.signal.aborted) {
      for (const machine of data) {
        const [role] = await roleOf(stage, machine).catch(() => ['silent']);
        if (role === 'master') primaries.add(machine);
        if (known.has(machine) && known.get(machine) !== role) say(`${machine}: ${known.get(machine)} -> ${role}`);
        known.set(machine, role);
      }
      await pause(50);
    }
  })();
  return {
    everPrimary: () => [...primaries],
    async stop() {
      stopper.abort();
      await loop;
    },
  };
}

/** One primary, named by all Sentinels, followed by both others; undefined when that does not come about. */
async function healing(stage) {
  const endMs = nowMs() + healMs;
  const { network } = stage;
  while (nowMs() < endMs) {
    const named = await Promise.all(
      data.map((machine) =>
        ask(network.addressOf(machine), sentinelPort, ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', group]).catch(() => null),
      ),
    );
    const address = named[0]?.[0];
    const primary = data.find((machine) => network.addressOf(machine) === address);
    if (primary !== undefined && named.every((one) => one?.[0] === address)) {
      const roles = await Promise.all(data.map((machine) => roleOf(stage, machine).catch(() => [])));
      const right = data.every((machine, at) =>
        machine === primary ? roles[at][0] === 'master' : roles[at].join(' ') === `slave ${address} connected`,
      );
      if (right) return { primary, atMs: nowMs() };
    }
    await pause(100);
  }
  return undefined;
}

/** `['master']` or `['slave', its primary, state of the link]`. */
async function roleOf({ network }, machine) {
  const [role, address, , state] = await ask(network.addressOf(machine), redisPort, ['ROLE']);
  return role === 'master' ? [role] : [role, address, state];
}

/** One question, one answer, as tools/dev/resp.mjs, to any address. */
function ask(host, port, words, timeoutMs = 1_000) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port });
    let received = '';
    const finish = (settled, value) => {
      clearTimeout(timer);
      socket.destroy();
      settled(value);
    };
    const timer = setTimeout(() => finish(reject, new Error(`no answer from ${host}:${port}`)), timeoutMs);
    socket.on('error', (error) => finish(reject, error));
    socket.on('connect', () => socket.write(`${words.join(' ')}\r\n`));
    socket.setEncoding('latin1').on('data', (text) => {
      received += text;
      try {
        const reply = readReply(received, 0);
        if (reply) finish(resolve, reply.value);
      } catch (error) {
        finish(reject, error);
      }
    });
  });
}

async function until(what, look, ms = 30_000) {
  const endMs = performance.now() + ms;
  let last;
  while (performance.now() < endMs) {
    try {
      if (await look()) return;
      last = undefined;
    } catch (error) {
      last = error.message;
    }
    await pause(50);
  }
  throw new Error(`${what}: not within ${ms / 1_000} s${last === undefined ? '' : ` (${last})`}`);
}
