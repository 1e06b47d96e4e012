// The bench `dispatch-failures`: what do clients notice when an origin dies, hangs, poisons, fails or is restarted?
import { failureColumns, failureGoals } from './failure-goals.mjs';
import { scenarios } from './failure-scenarios.mjs';
import { note, Problem } from '../dev/problem.mjs';
import { freePorts } from './free-ports.mjs';
import { pacedClient } from './load/paced-load.mjs';
import { loadAverage } from './machine.mjs';
import { startOrigins } from './origin/origins.mjs';
import { haproxy, tunedHaproxy } from './peers/haproxy.mjs';
import { nginx } from './peers/nginx.mjs';
import { wholeYard } from './peers/yard.mjs';
import { preparePeers } from './prepare-peers.mjs';
import { createRecord } from './record.mjs';
import { ask, until } from './waiting.mjs';

/** A trouble and its end need some time. */
const leastSeconds = 4;
/** A bound for those that last until the trouble is over. */
const mostSeconds = 120;
const clientTimeoutMs = 8_000;

export const dispatchFailuresBench = {
  name: 'dispatch-failures',
  about: 'failed and slow requests while an origin is killed, hangs, is poisoned, fails or restarts',
  seconds: 12,
  rounds: 3,
  peers: [wholeYard, tunedHaproxy, haproxy, nginx],
  works: scenarios.map(({ name }) => name),
  columns: failureColumns,
  goals: failureGoals,
  reference: [],
  run,
};

async function run(bench, { peers: wanted, works: wantedWorks, seconds, rounds }) {
  const record = createRecord();
  const { peers, missing } = await preparePeers(bench, wanted);
  record.missing(missing);
  const chosen = scenarios.filter(({ name }) => wantedWorks.includes(name));
  for (let round = 1; round <= rounds; round += 1) {
    for (const scenario of chosen) {
      for (const { peer, prepared } of peers) {
        note(`dispatch-failures, round ${round} of ${rounds}: ${scenario.name}, ${peer.title}`);
        try {
          const length = Math.max(seconds, leastSeconds);
          const observations = await suffer(bench, { peer, prepared, scenario, seconds: length, round });
          record.observe({ work: scenario.name, peer: peer.name, observations });
        } catch (error) {
          record.problem(`${peer.title}, ${scenario.name}: ${error.message}`);
        }
        record.load(loadAverage());
      }
    }
  }
  return { record, works: chosen, peers };
}

/** One peer in front of three fresh origins, one trouble: what the clients saw and what the origins were asked. */
async function suffer(bench, { peer, prepared, scenario, seconds, round }) {
  const [port, ...ports] = await freePorts(4);
  const { ratePerSecond, kinds, delayMs, only, untilOver = false } = scenario;
  let running;
  let origins = [];
  let client;
  try {
    running = await peer.start(bench, { port, origins: ports, prepared });
    origins = await startOrigins(bench, { ports, delayMs, only, counted: true, ...running.originPlan });
    await allTakePart({ port, peer, expected: scenario.only === undefined ? 3 : 2 });
    client = await pacedClient(bench, {
      port,
      ratePerSecond,
      seconds: untilOver ? mostSeconds : seconds,
      kinds,
      connections: 200,
      warm: 20,
      timeoutMs: clientTimeoutMs,
      spacing: 'random',
      seed: round,
      pollMs: 1,
    });
    const before = asked(origins);
    const going = client.go();
    const trouble = scenario.trouble({ origins, port, seconds });
    if (untilOver) void trouble.then(client.enough, client.enough);
    const [seen] = await Promise.all([going, trouble]);
    if (!running.isRunning()) throw new Problem(`it ended.\n${running.output()}`);
    return observationsOf({ seen, before, after: asked(origins), poisoned: scenario.name === 'poison' });
  } finally {
    await client?.stop();
    await Promise.all(origins.map((origin) => origin.stop()));
    await running?.stop();
  }
}

function observationsOf({ seen, before, after, poisoned }) {
  const { requests, failed, unanswered, slowestMs, over1s, p99Ms } = seen;
  return {
    requests,
    failedIdempotent: failed.idempotent ?? 0,
    // Those without any end are not told apart; there are none unless something is very wrong.
    failedOther: (failed.other ?? 0) + unanswered,
    slowestMs,
    over1s,
    p99Ms,
    amplification: (after.g + after.p - before.g - before.p) / requests,
    poisonAttempts: poisoned ? after.x - before.x : undefined,
  };
}

function asked(origins) {
  const sum = (kind) => origins.reduce((total, { counts }) => total + counts[kind], 0);
  return { g: sum('g'), p: sum('p'), x: sum('x') };
}

/** Every origin that can has answered through the proxy, and the proxy has run a little. */
async function allTakePart({ port, peer, expected }) {
  const seen = new Set();
  let turns = 0;
  await until(
    async () => {
      const { status, headers } = await ask(`http://127.0.0.1:${port}/`);
      if (status === 200) seen.add(headers.get('x-origin'));
      turns += 1;
      return seen.size >= expected && turns >= 30;
    },
    { what: `${peer.title} sends to ${expected} origins`, ms: 20_000, everyMs: 5 },
  );
}
