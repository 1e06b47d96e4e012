import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testSteps } from './test-steps.mjs';
import { failureText, tally } from './test-tally.mjs';

const jest = { counts: 'jest' };
const report = (numPassedTests, numFailedTests, more) => ({ numPassedTests, numFailedTests, testResults: [], ...more });

describe('tally', () => {
  it('counts a check as one', () => {
    assert.deepEqual(tally({ counts: 'step' }, { code: 0, output: '' }), { passed: 1, failed: 0 });
    assert.deepEqual(tally({ counts: 'step' }, { code: 124, output: '' }), { passed: 0, failed: 1 });
  });

  it('neither passes nor fails a check that says it cannot run here', () => {
    const result = tally({ counts: 'step' }, { code: 77, output: 'looking\nno container engine\n' });
    assert.deepEqual(result, { passed: 0, failed: 0, skipped: 'no container engine' });
  });

  it('sums the result files of all projects', () => {
    assert.deepEqual(tally(jest, { code: 1, output: '', reports: [report(3, 0), report(4, 2)] }), {
      passed: 7,
      failed: 2,
    });
  });

  it('counts a file that could not be loaded, and a run that did not even start', () => {
    const broken = report(3, 0, { numRuntimeErrorTestSuites: 1 });
    assert.deepEqual(tally(jest, { code: 1, output: '', reports: [broken] }), { passed: 3, failed: 1 });
    assert.deepEqual(tally(jest, { code: 1, output: 'nx: no such project', reports: [] }), { passed: 0, failed: 1 });
  });

  it('reads the counts of node:test', () => {
    const output = 'ok 1 - a\n# tests 5\n# pass 3\n# fail 1\n# cancelled 1\n';
    assert.deepEqual(tally({ counts: 'tap' }, { code: 1, output }), { passed: 3, failed: 2 });
  });
});

describe('failureText', () => {
  it('names failed tests with their messages instead of the end of the log', () => {
    const assertionResults = [
      { status: 'failed', fullName: 'a door opens', failureMessages: ['expected open'] },
      { status: 'passed', fullName: 'a door closes', failureMessages: [] },
    ];
    const failed = report(1, 1, { testResults: [{ name: 'x.test.ts', status: 'failed', assertionResults }] });
    const text = failureText(jest, { output: 'noise', reports: [failed] });
    assert.match(text, /x\.test\.ts\n {2}a door opens\nexpected open/);
    assert.doesNotMatch(text, /closes|noise/);
  });

  it('shows the end of the log of any other check', () => {
    const output = Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n');
    assert.match(failureText({ counts: 'step' }, { output }), /^line 60\n[^]*line 99$/);
  });
});

describe('testSteps', () => {
  const names = (options) => testSteps({ root: '/nowhere', ...options }).map(({ name }) => name);

  it('leaves everything slow out of the fast part', () => {
    assert.deepEqual(names({ fast: true }), ['format', 'lint', 'types', 'tests of tools', 'unit tests']);
  });

  it('passes a project filter to every run of nx', () => {
    const steps = testSteps({ root: '/nowhere', fast: false, projects: '@switchyard/registry' });
    const runs = steps.map(({ command }) => command.join(' ')).filter((line) => line.startsWith('nx '));
    assert.deepEqual(runs, [
      'nx run-many -t typecheck -p @switchyard/registry',
      'nx run-many -t test -p @switchyard/registry',
    ]);
  });
});
