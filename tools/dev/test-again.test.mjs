import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { repositoryRoot } from './bootstrap.mjs';
import { failedFiles, merged, runAgain } from './test-again.mjs';

const test = (fullName, status) => ({ fullName, status, failureMessages: [] });
const file = (name, ...assertionResults) => ({
  name,
  status: assertionResults.some(({ status }) => status === 'failed') ? 'failed' : 'passed',
  assertionResults,
});

describe('what failed once', () => {
  const first = [
    { testResults: [file('/r/libs/a/src/x.test.ts', test('opens', 'passed'), test('closes', 'failed'))] },
    {
      testResults: [
        file('/r/apps/b/src/y.test.ts', test('runs', 'failed')),
        file('/r/apps/b/src/z.test.ts', test('rests', 'passed')),
      ],
    },
  ];

  it('is run again by its project', () => {
    assert.deepEqual(
      [...failedFiles(first, '/r')],
      [
        ['libs/a', ['/r/libs/a/src/x.test.ts']],
        ['apps/b', ['/r/apps/b/src/y.test.ts']],
      ],
    );
  });

  it('is not run again when too much failed', () => {
    const many = Array.from({ length: 9 }, (_, at) => file(`/r/libs/a/src/${at}.test.ts`, test('opens', 'failed')));
    assert.equal(failedFiles([{ testResults: many }], '/r').size, 0);
  });

  it('counts by its second run, and is named when that passed', () => {
    const again = [
      { testResults: [file('/r/libs/a/src/x.test.ts', test('opens', 'passed'), test('closes', 'passed'))] },
      { testResults: [file('/r/apps/b/src/y.test.ts', test('runs', 'failed'))] },
    ];
    const { reports, unsteady } = merged(first, again, '/r');
    assert.deepEqual(unsteady, ['libs/a/src/x.test.ts: closes']);
    assert.deepEqual(
      reports.map(({ numPassedTests, numFailedTests }) => [numPassedTests, numFailedTests]),
      [
        [2, 0],
        [1, 1],
      ],
    );
  });

  it('stays failed when the second run said nothing', () => {
    const { reports, unsteady } = merged(first, [], '/r');
    assert.deepEqual(unsteady, []);
    assert.equal(reports[1].numFailedTests, 1);
  });

  it('is really run again: a test that passes the second time, and one that never does', async () => {
    const root = mkdtempSync(join(tmpdir(), 'switchyard-again-'));
    try {
      symlinkSync(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'));
      mkdirSync(join(root, 'tools/jest'), { recursive: true });
      copyFileSync(join(repositoryRoot, 'tools/jest/config.mjs'), join(root, 'tools/jest/config.mjs'));
      const folder = join(root, 'libs/a/src');
      mkdirSync(folder, { recursive: true });
      for (const place of ['package.json', 'libs/a/package.json']) writeFileSync(join(root, place), '{}');
      const paths = ['steady', 'never'].map((name) => join(folder, `${name}.test.ts`));
      writeFileSync(paths[0], `it('holds', () => expect(1).toBe(1));`);
      writeFileSync(paths[1], `it('holds', () => expect(1).toBe(2));`);
      const step = { name: 'tests', counts: 'jest', results: { folders: ['libs'], file: '.results/jest.json' } };
      const reports = [{ testResults: paths.map((path) => file(path, test('holds', 'failed'))) }];
      const env = { ...process.env, PATH: `${join(repositoryRoot, 'node_modules/.bin')}:${process.env.PATH}` };
      const context = { root, env, log: join(root, 'x.log'), signal: new AbortController().signal, minutes: 2 };
      const result = await runAgain(step, { code: 1, output: '', reports, seconds: 0 }, context);
      assert.deepEqual(result.unsteady, ['libs/a/src/steady.test.ts: holds']);
      assert.equal(result.code, 1);
      assert.equal(result.reports[0].numFailedTests, 1);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});
