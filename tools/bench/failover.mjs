// The bench `failover`: what does a Redis group cost its users when it fails over? Stock Sentinel and ioredis beside Switchyard on the
// same kind of processes, a fresh group for each trial, in turns. Numbers as in docs/benchmarks.md.
import { failoverColumns, failoverGoals, goalsOfTests } from './failover-goals.mjs';
import { failoverPeers } from './failover/peers.mjs';
import { failoverWorks } from './failover/works.mjs';
import { trialReport } from './trial-report.mjs';
import { runTrials } from './trials.mjs';

/** A trial that is not over by then is ended and recorded as failed. */
const trialMs = 240_000;
const wholeKeys = 1_000_000;
const quickKeys = 20_000;

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
  goalsNote: goalsOfTests,
  reference: [],
  run: (bench, options) =>
    runTrials(bench, {
      ...options,
      name: 'failover',
      allWorks: failoverWorks,
      trialMs,
      settings: { keys: options.quick ? quickKeys : wholeKeys },
    }),
  report: trialReport,
};
