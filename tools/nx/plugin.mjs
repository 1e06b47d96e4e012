// Which targets does a project have? Inferred from its package.json, so that no project carries a list of its own.
import { readFileSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const jestOptions = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

/** Nx inference plugin: every workspace gets `typecheck`, `lint` and `test`; every app also gets `dev`. */
export const createNodesV2 = [
  '{apps,libs}/*/package.json',
  (files, _options, context) =>
    files.map((file) => {
      const root = dirname(file);
      const manifest = JSON.parse(readFileSync(join(context.workspaceRoot, file), 'utf8'));
      const inputs = ['default', '^production'];
      const run = (command, more = {}) => ({
        executor: 'nx:run-commands',
        cache: true,
        inputs,
        options: { command, cwd: root, ...more },
      });
      // Tests that mostly wait for Sentinels and deadlines may do so side by side; others measure time.
      const workers = manifest.nx?.testWorkers === undefined ? '' : ` --maxWorkers=${manifest.nx.testWorkers}`;
      const targets = {
        typecheck: run('tsc -p tsconfig.json'),
        lint: run('oxlint -c ../../tools/oxlint.json --type-aware --deny-warnings .'),
      };
      if (existsSync(join(context.workspaceRoot, root, 'src'))) {
        targets.test = {
          ...run(
            `mkdir -p .results && jest --config ../../tools/jest/config.mjs --rootDir . --json --outputFile=.results/jest.json${workers}`,
            {
              env: { NODE_OPTIONS: jestOptions },
            },
          ),
          outputs: ['{projectRoot}/.results'],
        };
      }
      if (existsSync(join(context.workspaceRoot, root, 'src/main.ts'))) {
        targets.dev = {
          executor: 'nx:run-commands',
          continuous: true,
          options: { command: 'node --watch src/main.ts', cwd: root },
        };
      }
      return [file, { projects: { [root]: { name: manifest.name, root, tags: manifest.nx?.tags ?? [], targets } } }];
    }),
];
