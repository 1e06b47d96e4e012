// The bench `failover`: what does a Redis group cost its users when it fails over? Stock Sentinel and ioredis beside Switchyard on the
// same kind of processes, a fresh group for each trial, in turns. Numbers as in docs/benchmarks.md.
import { note, Problem } from '../dev/problem.mjs';
import { failoverColumns, failoverGoals } from './failover-goals.mjs';
import { failoverReport } from './failover-report.mjs';
import { failoverPeers } from './failover/peers.mjs';
import { failoverWorks } from './failover/works.mjs';
import { loadAverage } from './machine.mjs';
import { preparePeers } from './prepare-peers.mjs';
import { createRecord } from './record.mjs';

/** A trial that is not over by then is ended and recorded as failed. */
const trialMs = 240_000;
const wholeKeys = 1_000_000;
const quickKeys = 20_000;
const keptLog = 6_000;

export const failoverBench = {
  name: 'failover',
  about: 'what a crash, a planned switchover, a frozen primary and slow links cost the users of a Redis group',
  seconds: 13,
  rounds: 10,
  quick: { seconds: 5, rounds: 1 },
  peers: failoverPeers,
  works: failoverWorks.map(({ name }) => name),
  numbers: new Map(failoverWorks.map(({ name, number }) => [name, number])),
  columns: failoverColumns,
  goals: failoverGoals,
  reference: [],
  run,
  report: failoverReport,
};

async function run(bench, { peers: wanted, works: wantedWorks, seconds, rounds, quick = false }) {
  const record = createRecord();
  const trials = [];
  const { peers, missing } = await preparePeers(bench, wanted);
  record.missing(missing);
  const works = failoverWorks.filter(({ name }) => wantedWorks.includes(name));
  for (const work of works) {
    for (let round = 1; round <= rounds; round += 1) {
      const able = peers.filter(({ peer }) => peer.works.includes(work.name));
      // whoever was first is last the next time
      for (const { peer, prepared } of round % 2 === 0 ? able.toReversed() : able) {
        note(`failover: ${work.name}, trial ${round} of ${rounds}: ${peer.title}`);
        const load = loadAverage();
        record.load(load);
        const about = { work: work.name, peer: peer.name, trial: round, load };
        const settings = { work, peer, prepared, seconds, keys: quick ? quickKeys : wholeKeys };
        try {
          const observations = await attempt(bench, settings);
          record.observe({ work: work.name, peer: peer.name, observations });
          trials.push({ ...about, observations });
          note(`  ${JSON.stringify(observations)}`);
        } catch (error) {
          trials.push({ ...about, failed: error.message.slice(0, keptLog), log: error.log?.slice(-keptLog) });
          record.problem(`${peer.title}, ${work.name}, trial ${round}: ${error.message}`);
          note(`  failed: ${error.message.slice(0, 400)}`);
        }
      }
    }
  }
  return { record, works, peers, trials };
}

/** One trial on processes of its own, all of which are ended with it. */
async function attempt(bench, { work, peer, prepared, seconds, keys }) {
  const stage = { logs: [] };
  let timer;
  const tooLong = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Problem(`not over after ${trialMs / 1_000} s`)), trialMs);
  });
  try {
    return await Promise.race([work.run({ bench, stage, peer, program: prepared.redis, seconds, keys }), tooLong]);
  } catch (error) {
    error.log = stage.logs.map((tell) => tell()).join('\n');
    throw error;
  } finally {
    clearTimeout(timer);
    await bench.processes.endAll();
  }
}
