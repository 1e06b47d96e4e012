import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRecord } from './record.mjs';
import { trialReport } from './trial-report.mjs';

const peers = [{ peer: { name: 'ours', title: 'Ours' }, prepared: { version: '1.0' } }];
const machine = {
  date: '2026-01-02T03:04:05Z',
  cores: 2,
  processor: 'x',
  memoryGiB: 1,
  platform: 'linux x64',
  node: 'v24',
};
const bench = {
  name: 'failover',
  columns: [{ key: 'gapMs', title: 'gap', unit: 'ms', digits: 0 }],
  goals: [
    { id: 'H4', text: 'gap, p95', most: 400, got: (at) => at('planned', 'ours', 'gapMs', 0.95) },
    { id: 'H5', text: 'never measured', most: 0, got: (at) => at('planned', 'ours', 'nothing', 1) },
  ],
};

function report(gaps, failed = []) {
  const record = createRecord();
  for (const gapMs of gaps) record.observe({ work: 'planned', peer: 'ours', observations: { gapMs } });
  const trials = [
    ...gaps.map((gapMs, at) => ({ work: 'planned', peer: 'ours', trial: at + 1, load: 0.5, observations: { gapMs } })),
    ...failed,
  ];
  const works = [{ name: 'planned', title: 'Planned' }];
  const outcome = { record, works, peers, trials };
  return trialReport({ bench, machine, settings: { rounds: gaps.length }, outcome, places: ['/secret/place'] });
}

describe('the report of a bench of trials', () => {
  it('tells least, median, p95, most and how many, and holds the goal against its part of them', () => {
    const { markdown, json } = report([100, 200, 300, 500]);
    assert.match(markdown, /\| gap \(ms\): Ours \| +100 \| +250 \| +500 \| +500 \| +4 \|/);
    assert.match(markdown, /\| H4 gap, p95 \| +at most 400 \| +500 \| +\*\*no\*\* \|/);
    assert.doesNotMatch(markdown, /never measured/);
    assert.deepEqual(JSON.parse(json).goals[1].reached, undefined);
  });

  it('lists trials that failed, and no folder of this machine', () => {
    const log = 'in /secret/place/x';
    const { markdown, json } = report(
      [100],
      [{ work: 'planned', peer: 'ours', trial: 2, load: 3, failed: 'no answer', log }],
    );
    assert.match(markdown, /## Trials that failed\n\n- planned, ours, trial 2, load average 3: no answer/);
    assert.equal(JSON.parse(json).trials[1].log, 'in .../x');
  });
});
