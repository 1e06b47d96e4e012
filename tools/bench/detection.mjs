// The bench `detection`: how soon is a death seen, and who is taken for dead wrongly? This project beside other registries on Redis.
import { note } from '../dev/problem.mjs';
import { detectionColumns, detectionGoals } from './detection-goals.mjs';
import { crowd } from './detection/crowd.mjs';
import { faults } from './detection/faults.mjs';
import { libraries } from './detection/libraries.mjs';
import { yards } from './detection/yard.mjs';
import { loadAverage } from './machine.mjs';
import { preparePeers } from './prepare-peers.mjs';
import { createRecord } from './record.mjs';
import { seededRandom } from './statistics.mjs';

const fleetSize = 10;
const works = [...faults, { name: 'beats', title: '10,000 instances beat once a second, and nothing changes' }];

export const detectionBench = {
  name: 'detection',
  about: 'how soon deaths are seen, who is taken for dead wrongly, and what 10,000 heartbeats a second cost',
  seconds: 30,
  rounds: 1,
  peers: [...yards, crowd, ...libraries],
  works: works.map(({ name }) => name),
  columns: detectionColumns,
  goals: detectionGoals,
  reference: [],
  run,
};

async function run(bench, { peers: wanted, works: wantedWorks, seconds, rounds }) {
  const record = createRecord();
  const { peers, missing } = await preparePeers(bench, wanted);
  record.missing(missing);
  // short runs look at each thing twice, whole ones five times
  const samples = seconds >= 20 ? 5 : 2;
  for (let round = 1; round <= rounds; round += 1) {
    const settings = { seconds, samples, random: seededRandom(round), wantedWorks, record };
    for (const one of peers.filter(({ peer }) => peer.alone)) await suffer(bench, one, settings);
    record.load(loadAverage());
    await Promise.all(peers.filter(({ peer }) => !peer.alone).map((one) => suffer(bench, one, settings)));
  }
  const isDone = ({ name }) => wantedWorks.includes(name) && peers.some(({ peer }) => peer.works.includes(name));
  return { record, works: works.filter(isDone), peers };
}

/** One peer, from its start to its end, through everything that it can do. */
async function suffer(bench, { peer, prepared }, { record, wantedWorks, ...options }) {
  const todo = peer.works.filter((name) => wantedWorks.includes(name));
  if (todo.length === 0) return;
  let stage;
  try {
    stage = await peer.start(bench, { prepared, size: fleetSize });
    for (const work of todo) {
      note(`detection: ${work}, ${peer.title}`);
      const measure = peer.measure ?? faults.find(({ name }) => name === work).run;
      try {
        const samples = peer.samples ?? options.samples * (peer.times ?? 1);
        for (const observations of await measure(stage, { ...options, samples })) {
          record.observe({ work, peer: peer.name, observations });
        }
      } catch (error) {
        record.problem(`${peer.title}, ${work}: ${error.message}`);
      }
    }
  } catch (error) {
    record.problem(`${peer.title}: ${error.message}`);
  } finally {
    await stage?.stop();
  }
}
