// What does `npm test` check, in which order? A table; to add a check, add a row.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

// Integration tests start real processes: too slow for the fast part. (No shell character, nx passes it through one.)
const unitOnly = '--testPathIgnorePatterns=[.]int[.]test[.]ts';
// Of the end-to-end tests, what the kind of Redis matters for most: three minutes instead of seven.
const clusterCore = 'scenarios/(redis|catalog|crash)[.]e2e';

const endToEndCommand = (results, pattern) =>
  `node node_modules/jest/bin/jest.js --config apps/e2e/jest.config.mjs --rootDir apps/e2e
    --runInBand --json --outputFile=apps/e2e/${results} ${pattern}`
    .trim()
    .split(/\s+/);
const jestOptions = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

/**
 * The steps for these options. Each: `{ name, command, counts, minutes, env? }`; `counts` says what is counted: the
 * step itself ('step'), tests in node's TAP output ('tap'), or tests in Jest's result files ('jest', with `results`, a
 * list of folders under which `file` lies in each project).
 * With `redisKind` 'cluster' all end-to-end tests run on a Redis Cluster, and none on Sentinels.
 * @param {{ root: string, fast: boolean, projects?: string, redisKind?: string }} options
 */
export function testSteps({ root, fast, projects, redisKind = 'sentinel' }) {
  const only = projects === undefined ? [] : ['-p', projects];
  const nx = (target, ...more) => ['nx', 'run-many', '-t', target, ...only, ...more];
  const has = (path) => existsSync(join(root, path));
  const wanted = (...names) => projects === undefined || names.some((name) => projects.split(',').includes(name));
  const endToEnd = !fast && wanted('@switchyard/e2e', 'e2e');
  return [
    { name: 'format', command: ['prettier', '--check', '--no-color', '.'], counts: 'step', minutes: 2 },
    {
      name: 'lint',
      command: ['oxlint', '-c', 'tools/oxlint.json', '--type-aware', '--deny-warnings', 'apps', 'libs', 'tools'],
      counts: 'step',
      minutes: 4,
    },
    has('tools/check/house-rules.mjs') && {
      name: 'house rules',
      command: ['node', 'tools/check/house-rules.mjs'],
      counts: 'step',
      minutes: 2,
    },
    { name: 'types', command: nx('typecheck'), counts: 'step', minutes: 5 },
    {
      name: 'tests of tools',
      command: ['node', '--test', '--test-reporter=tap', 'tools/**/*.test.mjs'],
      counts: 'tap',
      minutes: 4,
    },
    {
      name: fast ? 'unit tests' : 'unit and integration tests',
      command: fast ? nx('test', '--', unitOnly) : nx('test'),
      counts: 'jest',
      results: { folders: ['apps', 'libs'], file: '.results/jest.json' },
      minutes: 25,
    },
    endToEnd &&
      has('apps/e2e/jest.config.mjs') &&
      redisKind !== 'cluster' && {
        name: 'end-to-end tests',
        command: endToEndCommand('.results/e2e.json', ''),
        env: { NODE_OPTIONS: jestOptions },
        counts: 'jest',
        results: { folders: ['apps'], file: '.results/e2e.json' },
        minutes: 20,
      },
    endToEnd &&
      has('apps/e2e/jest.config.mjs') && {
        name: 'end-to-end tests on a Redis Cluster',
        command: endToEndCommand('.results/e2e-cluster.json', redisKind === 'cluster' ? '' : clusterCore),
        env: { NODE_OPTIONS: jestOptions, SWITCHYARD_REDIS_KIND: 'cluster' },
        counts: 'jest',
        results: { folders: ['apps'], file: '.results/e2e-cluster.json' },
        minutes: 15,
      },
    // Ends with code 77 and the reason as its last line where no container engine can be had.
    endToEnd &&
      has('tools/dev/compose-test.mjs') && {
        name: 'docker compose',
        command: ['node', 'tools/dev/compose-test.mjs'],
        counts: 'step',
        minutes: 20,
      },
  ].filter((step) => step !== false);
}
