import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRecord } from './record.mjs';
import { reportOf } from './report.mjs';

const bench = {
  name: 'demo',
  columns: [
    { key: 'cpuUs', title: 'CPU', unit: 'us', digits: 1, better: 'less' },
    { key: 'rate', title: 'rate', unit: '/s', digits: 0 },
  ],
  goals: [
    { text: 'half', most: 0.5, got: (value) => value('small', 'ours', 'cpuUs') / value('small', 'haproxy', 'cpuUs') },
    { text: 'unknown', least: 1, got: (value) => value('small', 'caddy', 'cpuUs') },
  ],
  reference: ['ours', 'haproxy'],
};
const machine = {
  date: '2026-01-02T03:04:05.000Z',
  cores: 2,
  processor: 'P',
  memoryGiB: 4,
  platform: 'linux x64',
  node: 'v24',
  pinned: true,
};
const peers = [
  { peer: { name: 'ours', title: 'Ours' }, prepared: { version: '1.0' } },
  { peer: { name: 'haproxy', title: 'HAProxy' }, prepared: { version: '2.6' } },
];

function report() {
  const record = createRecord();
  for (const cpuUs of [30, 10, 20]) record.observe({ work: 'small', peer: 'ours', observations: { cpuUs } });
  record.observe({ work: 'small', peer: 'haproxy', observations: { cpuUs: 50, rate: 12_345, nothing: undefined } });
  record.problem('a log below /home/somebody/x said no');
  record.missing([{ peer: { name: 'caddy', title: 'Caddy' }, why: 'not there.\nWhat to do: install it' }]);
  record.load(0.5);
  for (const part of [0, 0.0251, 0.4]) record.foreign(part);
  const outcome = { record, works: [{ name: 'small', title: 'Small', ratePerSecond: 1_000 }], peers };
  return reportOf({ bench, machine, settings: { seconds: 4, rounds: 3 }, outcome, places: ['/home/somebody'] });
}

describe('a report', () => {
  const { markdown, json } = report();

  it('tells the median with its spread, and what was not measured as such', () => {
    assert.match(markdown, /\| Ours 1\.0 +\| +20\.0 \(10\.0 to 30\.0\) \| +- \|/);
    assert.match(markdown, /\| HAProxy 2\.6 \| +50\.0 \| +12,345 \|/);
  });

  it('sets every peer in relation to ours and to HAProxy', () => {
    assert.match(markdown, /\| Ours +\| +1\.00 \/ 0\.40 \|/);
    assert.match(markdown, /\| HAProxy \| +2\.50 \/ 1\.00 \|/);
  });

  it('judges the goals for which there are numbers', () => {
    assert.match(markdown, /\| half +\| at most 0\.5 \| 0\.4 \| +yes \|/);
    assert.doesNotMatch(markdown, /unknown/);
    assert.equal(JSON.parse(json).goals[1].reached, undefined);
  });

  it('tells who is missing and what went wrong, without places of the machine', () => {
    assert.match(markdown, /- Caddy: not there\. What to do: install it/);
    assert.match(markdown, /- a log below \.\.\.\/x said no/);
    assert.doesNotMatch(json, /somebody/);
  });

  it('tells how quiet the machine was', () => {
    assert.match(
      markdown,
      /load average 0\.5 to 0\.5; others had 2\.5 % of the measured core \(median; at most 40 %\)/,
    );
  });

  it('keeps every round in the data', () => {
    const { results, loadAverages } = JSON.parse(json);
    assert.deepEqual(results[0], {
      work: 'small',
      peer: 'ours',
      key: 'cpuUs',
      median: 20,
      min: 10,
      max: 30,
      rounds: [30, 10, 20],
    });
    assert.deepEqual(loadAverages, [0.5]);
  });
});
