// The bench `backup`: what do backups and restores of a Redis group cost, and what is lost? redis-cli and the steps of the manual beside
// Switchyard, a fresh group for each trial, in turns. Numbers as in docs/benchmarks.md.
import { backupColumns, backupGoals } from './backup-goals.mjs';
import { backupPeers } from './backup/peers.mjs';
import { backupWorks } from './backup/works.mjs';
import { barsSvg } from './bars-svg.mjs';
import { trialReport } from './trial-report.mjs';
import { runTrials } from './trials.mjs';

/** A trial that is not over by then is ended and recorded as failed. */
const trialMs = 1_200_000;
const middle = 0.5;

export const backupBench = {
  name: 'backup',
  about: 'what a backup, a way back from a FLUSHALL and the loss of all nodes cost the users of a Redis group',
  seconds: 10,
  rounds: 3,
  quick: { seconds: 2, rounds: 1 },
  peers: backupPeers,
  works: backupWorks.map(({ name }) => name),
  numbers: new Map(backupWorks.map(({ name, number }) => [name, number])),
  columns: backupColumns,
  goals: backupGoals,
  reference: [],
  run: (bench, options) =>
    runTrials(bench, {
      ...options,
      name: 'backup',
      allWorks: backupWorks,
      trialMs,
      settings: { quick: options.quick === true },
    }),
  plots,
  report: trialReport,
};

const plotted = [
  { file: 'bench-backup-taken.svg', prefix: 'backup-', key: 'backupSeconds', title: 'A backup: seconds' },
  {
    file: 'bench-backup-restored.svg',
    prefix: 'restore-',
    key: 'noWritesMs',
    title: 'Back to before a FLUSHALL: milliseconds without writes',
  },
];

/** One picture for the backups, one for the ways back; only of what was measured. */
function plots({ works, peers, at }) {
  return plotted.flatMap(({ file, prefix, key, title }) => {
    const groups = works
      .filter(({ name }) => name.startsWith(prefix))
      .map(({ name, size }) => ({
        label: size.title,
        bars: peers.map(({ peer }) => ({ name: peer.title, value: at(name, peer.name, key, middle) })),
      }))
      .filter(({ bars }) => bars.some(({ value }) => value !== undefined));
    return groups.length === 0 ? [] : [{ file, title, text: barsSvg({ title, groups }) }];
  });
}
