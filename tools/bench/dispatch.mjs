// The bench `dispatch`: what does a request cost at our dispatcher and at everybody else's, on the same work in one run?
//
//   for each round, for each peer (in turn forwards and backwards): start it alone on its core, warm it up, measure, end it
import { dispatchGoals } from './dispatch-goals.mjs';
import { dispatchColumns } from './dispatch-columns.mjs';
import { works } from './dispatch-works.mjs';
import { note, Problem } from '../dev/problem.mjs';
import { freePorts } from './free-ports.mjs';
import { saturate } from './load/wrk.mjs';
import { loadAverage } from './machine.mjs';
import { startLeanOrigins } from './origin/lean-origins.mjs';
import { startOrigins } from './origin/origins.mjs';
import { caddy } from './peers/caddy.mjs';
import { direct } from './peers/direct.mjs';
import { engine, unsharedEngine } from './peers/engine.mjs';
import { haproxy } from './peers/haproxy.mjs';
import { nginx, prepareNginx } from './peers/nginx.mjs';
import { npmProxies } from './peers/npm-proxies.mjs';
import { dispatcher } from './peers/yard.mjs';
import { debianProgram } from './debian-packages.mjs';
import { preparePeers } from './prepare-peers.mjs';
import { createRecord } from './record.mjs';
import { ask, until } from './waiting.mjs';

const warmUpSeconds = 1;

export const dispatchBench = {
  name: 'dispatch',
  about: 'CPU, throughput, latency and memory of a request, beside other proxies',
  seconds: 4,
  rounds: 3,
  // HAProxy goes first: the load at which latencies are compared is half of what it carries.
  peers: [haproxy, engine, unsharedEngine, dispatcher, nginx, caddy, ...npmProxies, direct],
  works: works.map(({ name }) => name),
  columns: dispatchColumns,
  goals: dispatchGoals,
  reference: ['ours', 'haproxy'],
  run,
};

async function run(bench, { peers: wanted, works: wantedWorks, seconds, rounds }) {
  bench.wrk = await debianProgram({ program: 'wrk', install: bench.install });
  const record = createRecord();
  const { peers, missing } = await preparePeers(bench, wanted);
  record.missing(missing);
  const chosen = works.filter(({ name }) => wantedWorks.includes(name));
  const sites = await startSites(bench, { chosen, record });
  // what is known so far of each peer, for measures that depend on others
  const known = { saturatedPerSecond: {} };

  for (let round = 1; round <= rounds; round += 1) {
    const turn = round % 2 === 1 ? peers : peers.toReversed();
    for (const { peer, prepared } of turn) {
      note(`dispatch, round ${round} of ${rounds}: ${peer.title}`);
      for (const work of chosen) {
        const ports = sites[work.origins];
        if (ports === undefined || !fits(peer, work)) continue;
        await measureWork(bench, { peer, prepared, work, ports, seconds, round, known, record });
      }
      record.load(loadAverage());
    }
  }
  return { record, works: chosen, peers };
}

function fits(peer, work) {
  return (!work.redirects || peer.redirects) && (!peer.unmeasured || work.unmeasuredToo);
}

/** The ports of the origins by kind; a kind that cannot be had is left out and told. */
async function startSites(bench, { chosen, record }) {
  const sites = {};
  const kinds = new Set(chosen.map(({ origins }) => origins));
  if (kinds.has('node')) {
    sites.node = await freePorts(3);
    await startOrigins(bench, { ports: sites.node });
  }
  if (kinds.has('lean')) {
    try {
      const { program } = await prepareNginx(bench);
      const ports = await freePorts(3);
      await startLeanOrigins(bench, { nginx: program, ports });
      sites.lean = ports;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      record.problem(`no lean origins: ${error.message}`);
    }
  }
  return sites;
}

async function measureWork(bench, { peer, prepared, work, ports, seconds, round, known, record }) {
  const [port] = await freePorts(1);
  let running;
  try {
    running = await peer.start(bench, { port, origins: ports, prepared });
    await check(work, running, peer);
    if (!peer.unmeasured && work.name !== 'memory') {
      const url = `http://127.0.0.1:${running.port}${work.path}`;
      await saturate(bench, { pid: running.pid, url, seconds: warmUpSeconds, script: work.script });
    }
    for (const measure of work.measures) {
      const seen = await measure(bench, { peer, work, running, seconds, known, round });
      const { observations, problems, foreignPart } = seen;
      record.observe({ work: work.name, peer: peer.name, observations });
      if (foreignPart !== undefined) record.foreign(foreignPart);
      for (const problem of problems) record.problem(problem);
      if (!running.isRunning()) throw new Problem(`${peer.title} ended during ${work.name}.\n${running.output()}`);
    }
  } catch (error) {
    // one that fails must not take the results of the others along
    record.problem(`${peer.title}, ${work.name}: ${error.message}`);
  } finally {
    await running?.stop();
  }
}

/** The right answer first: a proxy that answers nonsense quickly is not quick. */
async function check(work, { port }, peer) {
  const { path, bodyBytes, answerBytes = 37 } = work;
  const options = bodyBytes === undefined ? {} : { method: 'POST', body: 'x'.repeat(bodyBytes) };
  await until(
    async () => {
      const { status, body, headers } = await ask(`http://127.0.0.1:${port}${path}`, options);
      if (work.redirects) return status >= 300 && status < 400 && headers.get('location')?.endsWith(path);
      if (status === 200 && body.length === answerBytes) return true;
      throw new Error(`${peer.title} answered ${status} with ${body.length} bytes`);
    },
    { what: `${peer.title} does ${work.name}`, ms: 5_000 },
  );
}
