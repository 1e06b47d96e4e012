// How are trials made that must not disturb each other? One after the other, each on processes of its own, the peers in turns; one that
// fails is told and the next one begins.
import { note, Problem } from '../dev/problem.mjs';
import { loadAverage } from './machine.mjs';
import { preparePeers } from './prepare-peers.mjs';
import { createRecord } from './record.mjs';

const keptLog = 6_000;

/** Every work that is wanted, `rounds` times, by every peer that can do it: `{ record, works, peers, trials }`. `settings` go to each trial. */
export async function runTrials(bench, { name: benchName, allWorks, trialMs, settings: common, ...options }) {
  const { peers: wanted, works: wantedWorks, seconds, rounds } = options;
  const record = createRecord();
  const trials = [];
  const { peers, missing } = await preparePeers(bench, wanted);
  record.missing(missing);
  const works = allWorks.filter(({ name }) => wantedWorks.includes(name));
  for (const work of works) {
    for (let round = 1; round <= rounds; round += 1) {
      const able = peers.filter(({ peer }) => peer.works.includes(work.name));
      // whoever was first is last the next time
      for (const { peer, prepared } of round % 2 === 0 ? able.toReversed() : able) {
        note(`${benchName}: ${work.name}, trial ${round} of ${rounds}: ${peer.title}`);
        const load = loadAverage();
        record.load(load);
        const about = { work: work.name, peer: peer.name, trial: round, load };
        const settings = { work, peer, prepared, seconds, trialMs, ...common };
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
async function attempt(bench, { work, prepared, trialMs, ...settings }) {
  const stage = { logs: [] };
  let timer;
  const tooLong = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Problem(`not over after ${trialMs / 1_000} s`)), trialMs);
  });
  try {
    return await Promise.race([work.run({ bench, stage, program: prepared.redis, ...settings }), tooLong]);
  } catch (error) {
    error.log = stage.logs.map((tell) => tell()).join('\n');
    throw error;
  } finally {
    clearTimeout(timer);
    await bench.processes.endAll();
  }
}
