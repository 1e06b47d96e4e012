import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readArguments } from './arguments.mjs';

const named = (...names) => names.map((name) => ({ name }));
const benches = [
  { name: 'one', seconds: 4, rounds: 3, peers: named('ours', 'haproxy'), works: ['small', 'large'] },
  { name: 'two', seconds: 12, rounds: 1, peers: named('ours', 'nginx'), works: ['kill'] },
];
const read = (...words) => readArguments(words, benches);
const wrongly = (...words) => {
  const { kind, why } = read(...words);
  assert.equal(kind, 'wrong');
  return why;
};

describe('the arguments of npm run bench', () => {
  it('run every bench with its own defaults when there are none', () => {
    const { kind, runs, install } = read();
    assert.equal(kind, 'run');
    assert.equal(install, true);
    assert.deepEqual(
      runs.map(({ bench, seconds, rounds, peers, works }) => [bench.name, seconds, rounds, peers.length, works.length]),
      [
        ['one', 4, 3, 2, 2],
        ['two', 12, 1, 2, 1],
      ],
    );
  });

  it('make a quick run as short as the bench can be, unless a length is given', () => {
    const quick = { seconds: 2, rounds: 1 };
    const able = [{ ...benches[0], quick }, benches[1]];
    const lengths = (...words) =>
      readArguments(words, able).runs.map(({ seconds, rounds, quick: is }) => [seconds, rounds, is]);
    assert.deepEqual(lengths('--quick'), [
      [2, 1, true],
      [12, 1, true],
    ]);
    assert.deepEqual(lengths('one', '--quick', '--trials', '7'), [[2, 7, true]]);
  });

  it('take numbers after --only for work where the bench numbers it', () => {
    const numbered = [{ ...benches[0], numbers: new Map(Object.entries({ small: 1, large: 10 })) }];
    const only = (text) => readArguments(['one', '--only', text], numbered);
    assert.deepEqual([only('10').runs[0].works, only('1,10').runs[0].works], [['large'], ['small', 'large']]);
    assert.equal(only('10').runs[0].peers.length, 2);
    assert.match(only('3').why, /no work with number 3/);
  });

  it('choose a bench, its peers, its work and its length', () => {
    const { runs, output, install } = read(
      ...'one --seconds 1 --rounds 2 --only haproxy --work large --output x --no-install'.split(' '),
    );
    assert.equal(runs.length, 1);
    assert.deepEqual(
      { ...runs[0], bench: runs[0].bench.name, peers: runs[0].peers.map(({ name }) => name) },
      { bench: 'one', seconds: 1, rounds: 2, peers: ['haproxy'], works: ['large'] },
    );
    assert.deepEqual([output, install], ['x', false]);
  });

  it('name what there is when something is not', () => {
    assert.match(wrongly('three'), /no bench "three"; there are: one, two/);
    assert.match(wrongly('one', '--only', 'nginx'), /no peer "nginx"; there are: ours, haproxy/);
    assert.match(wrongly('--work', ''), /no work ""; there are: small, large, kill/);
    assert.match(wrongly('--seconds', '0'), /--seconds takes a whole number from 1 to 600, not "0"/);
    assert.match(wrongly('--rounds', 'many'), /--rounds takes a whole number/);
    assert.match(wrongly('--fast'), /--fast/);
  });
});
