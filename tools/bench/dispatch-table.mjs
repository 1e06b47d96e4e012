// The bench `dispatch-table`: how soon is a change of the catalog at the dispatcher, and what do many of them cost its clients?
import { createServer } from 'node:http';
import { note } from '../dev/problem.mjs';
import { freePorts } from './free-ports.mjs';
import { measurePaced, pacedClient } from './load/paced-load.mjs';
import { loadAverage } from './machine.mjs';
import { dispatcher } from './peers/yard.mjs';
import { preparePeers } from './prepare-peers.mjs';
import { createRecord } from './record.mjs';
import { quantile } from './statistics.mjs';
import { ask, pause, until } from './waiting.mjs';

const service = 'demo-backend';
const removals = 100;
const changesPerSecond = 200;
const get = [{ name: 'request', method: 'GET', path: '/', share: 1 }];

const works = [
  {
    name: 'removal',
    title: 'An instance is deregistered: from the event until the last new request to it (500/s, 100 times)',
    measure: removal,
  },
  { name: 'churn', title: '200 changes of weights a second (1,000/s)', measure: churn },
];

export const dispatchTableBench = {
  name: 'dispatch-table',
  about: 'how soon a change is at the dispatcher, and what 200 changes a second cost its clients',
  seconds: 5,
  rounds: 3,
  peers: [dispatcher],
  works: works.map(({ name }) => name),
  columns: [
    { key: 'lastP50Ms', title: 'last new request after it, p50', unit: 'ms', digits: 2, better: 'less' },
    { key: 'lastP99Ms', title: 'last new request after it, p99', unit: 'ms', digits: 2, better: 'less' },
    { key: 'quietP99Ms', title: 'p99, quiet', unit: 'ms', digits: 2, better: 'less' },
    { key: 'churnP99Ms', title: 'p99, with changes', unit: 'ms', digits: 2, better: 'less' },
    { key: 'changes', title: 'changes made', unit: '/s', digits: 0 },
    { key: 'failed', title: 'failed', unit: '', digits: 0, better: 'less' },
  ],
  goals: [
    {
      text: 'removal to the last new request, p99, ms',
      most: 10,
      got: (value) => value('removal', dispatcher.name, 'lastP99Ms'),
    },
    {
      text: '200 changes a second: p99, to quiet',
      most: 1.2,
      got: (value) => {
        const [quiet, busy] = ['quietP99Ms', 'churnP99Ms'].map((key) => value('churn', dispatcher.name, key));
        return quiet === undefined || busy === undefined ? undefined : busy / quiet;
      },
    },
  ],
  reference: [],
  run,
};

async function run(bench, { peers: wanted, works: wantedWorks, seconds, rounds }) {
  const record = createRecord();
  const { peers, missing } = await preparePeers(bench, wanted);
  record.missing(missing);
  const chosen = works.filter(({ name }) => wantedWorks.includes(name));
  for (let round = 1; round <= rounds; round += 1) {
    for (const { peer, prepared } of peers) {
      for (const work of chosen) {
        note(`dispatch-table, round ${round} of ${rounds}: ${work.name}`);
        try {
          const observations = await withYard(bench, { peer, prepared }, (site) => work.measure(bench, site, seconds));
          record.observe({ work: work.name, peer: peer.name, observations });
        } catch (error) {
          record.problem(`${peer.title}, ${work.name}: ${error.message}`);
        }
        record.load(loadAverage());
      }
    }
  }
  return { record, works: chosen, peers };
}

/** Three origins in this process, which know when they were asked last, with a yard in front of them. */
async function withYard(bench, { peer, prepared }, measure) {
  const [port, ...ports] = await freePorts(4);
  const origins = ports.map((at) => ({ port: at, lastUnixMs: 0 }));
  const servers = await Promise.all(origins.map(listen));
  const running = await peer.start(bench, { port, origins: ports, prepared });
  try {
    return await measure({ running, origins });
  } finally {
    await running.stop();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}

function listen(origin) {
  const server = createServer((_request, response) => {
    origin.lastUnixMs = performance.timeOrigin + performance.now();
    response.end('hello');
  });
  return new Promise((resolve) => {
    server.listen({ port: origin.port, host: '127.0.0.1', backlog: 1_024 }, () => resolve(server));
  });
}

async function removal(bench, { running, origins }) {
  const { registryUrl, port } = running;
  const client = await pacedClient(bench, { port, ratePerSecond: 500, seconds: 60, kinds: get, pollMs: 1 });
  const done = client.go();
  const lastMs = [];
  const [, , origin] = origins;
  const path = `${registryUrl}/v1/services/${service}/instances/c`;
  try {
    for (let turn = 0; turn < removals; turn += 1) {
      const before = origin.lastUnixMs;
      await until(() => origin.lastUnixMs > before, { what: 'the instance gets requests', everyMs: 5 });
      await ask(path, { method: 'DELETE' });
      // long enough for everything that was on its way
      await pause(60);
      lastMs.push(Math.max(0, origin.lastUnixMs - (await goneUnixMs(registryUrl))));
      await put(path, { url: `http://127.0.0.1:${origin.port}`, ttl: '1h', check: { type: 'none' } });
    }
  } finally {
    client.enough();
  }
  const { failed } = await done;
  await client.stop();
  const sorted = Float64Array.from(lastMs).sort();
  return { lastP50Ms: quantile(sorted, 0.5), lastP99Ms: quantile(sorted, 0.99), failed: failed.request ?? 0 };
}

/** When the latest deregistration was decided, by the clock of this machine. */
async function goneUnixMs(registryUrl) {
  const { body } = await ask(`${registryUrl}/v1/events?limit=20&topics=instance`);
  const event = JSON.parse(body).events.find(({ type }) => type === 'instance.deregistered');
  return Date.parse(event.time);
}

async function churn(bench, { running }, seconds) {
  const { registryUrl, port, pid } = running;
  const plan = { port, pid, ratePerSecond: 1_000, seconds, kinds: get, spacing: 'random' };
  const quiet = await measurePaced(bench, { ...plan, seed: 1 });
  const change = startChanging(registryUrl);
  const busy = await measurePaced(bench, { ...plan, seed: 2 });
  const changes = await change.stop();
  const failed = (quiet.failed.request ?? 0) + (busy.failed.request ?? 0);
  return { quietP99Ms: quiet.p99Ms, churnP99Ms: busy.p99Ms, changes, failed };
}

/** So many changes of weights a second, until `stop`, which gives how many there were in a second. */
function startChanging(registryUrl) {
  const startedMs = performance.now();
  let count = 0;
  let made = 0;
  const running = new Set();
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1_000) * changesPerSecond;
    while (count < due && running.size < 64) {
      const id = 'abc'[count % 3];
      const weight = 1 + (count % 7);
      count += 1;
      const call = patch(`${registryUrl}/v1/services/${service}/instances/${id}`, { weight })
        .then(() => (made += 1))
        .catch(() => undefined)
        .finally(() => running.delete(call));
      running.add(call);
    }
  }, 5);
  return {
    async stop() {
      clearInterval(timer);
      const seconds = (performance.now() - startedMs) / 1_000;
      await Promise.all(running);
      return made / seconds;
    },
  };
}

const put = (url, body) => send(url, 'PUT', body);
const patch = (url, body) => send(url, 'PATCH', body);

async function send(url, method, body) {
  const headers = { 'content-type': 'application/json' };
  const { status, body: text } = await ask(url, { method, headers, body: JSON.stringify(body), ms: 5_000 });
  if (status >= 300) throw new Error(`${method} ${url}: ${status} ${text}`);
}
