// Does the command find what it should? Each fault is planted in a file of its own, in a workspace made for this test.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('house-rules.mjs', import.meta.url));
const header = '// What does this file answer?\n';

const project = (name, layer, more = {}) => ({
  name: `@switchyard/${name}`,
  type: 'module',
  ...(layer === 'app' ? {} : { exports: { '.': './src/index.ts' } }),
  nx: { tags: [`layer:${layer}`] },
  ...more,
});

/** A small workspace that keeps every rule. Some packages are declared so that only the fault itself can be meant. */
const sound = {
  'package.json': { name: 'planted', workspaces: ['apps/*', 'libs/*'], devDependencies: { supertest: '1.0.0' } },
  'libs/protocol/package.json': project('protocol', 'contract', { dependencies: { zod: '1.0.0' } }),
  'libs/protocol/src/index.ts': "export { keys } from './keys.ts';\n",
  'libs/protocol/src/keys.ts': `${header}import { z } from 'zod';\nexport const keys = { events: '{switchyard}:events', z };\n`,
  'libs/catalog/package.json': project('catalog', 'domain', {
    dependencies: { '@switchyard/protocol': '*', zod: '1.0.0' },
  }),
  'libs/catalog/src/index.ts': "export { decide } from './decide.ts';\n",
  'libs/catalog/src/decide.ts': `${header}import { keys } from '@switchyard/protocol';
// A comment may speak of Date.now(), Math.random() and async.
export const decide = (nowMs: number): unknown => [new Date(nowMs), keys, 'await Date.now()'];\n`,
  'libs/catalog/src/decide.test.ts': `import { readFileSync } from 'node:fs';\nimport request from 'supertest';
import { decide } from './decide.ts';\nimport { fake } from '@switchyard/testing';
it('decides', async () => [decide(Date.now()), readFileSync, request, fake]);\n`,
  'libs/runtime/package.json': project('runtime', 'platform', { dependencies: { '@switchyard/protocol': '*' } }),
  'libs/runtime/src/index.ts': "export { env } from './env.ts';\n",
  'libs/runtime/src/env.ts': `${header}export const env = process.env;\n`,
  'libs/redis/package.json': project('redis', 'adapter', {
    exports: { '.': './src/index.ts', './queues': './src/queues.ts' },
    dependencies: { '@switchyard/protocol': '*', '@switchyard/catalog': '*', ioredis: '1.0.0' },
  }),
  'libs/redis/src/index.ts': "export { store } from './store.ts';\n",
  'libs/redis/src/queues.ts': `${header}export { store } from './store.ts';\n`,
  'libs/redis/src/store.ts': `${header}import { Redis } from 'ioredis';\nimport { keys } from '@switchyard/protocol';
import type { decide } from '@switchyard/catalog';\nexport const store = async (): Promise<unknown> => [Redis, keys] as unknown as typeof decide;\n`,
  'libs/redis/src/one.ts': `${header}import type { Other } from './other.ts';\nexport interface One { other: Other }\n`,
  'libs/redis/src/other.ts': `${header}import type { One } from './one.ts';\nexport interface Other { one: One }\n`,
  'libs/redis/src/scripts/commit.lua': '-- Guarantee: one.\nreturn KEYS[1]\n',
  'libs/http/package.json': project('http', 'adapter', {
    dependencies: { express: '1.0.0', ioredis: '1.0.0', '@switchyard/redis': '*' },
  }),
  'libs/http/src/index.ts': "export { serve } from './serve.ts';\n",
  'libs/http/src/serve.ts': `${header}import express from 'express';\nexport const serve = express;\n`,
  'libs/testing/package.json': project('testing', 'testing'),
  'libs/testing/src/index.ts': "export { fake } from './fake.ts';\n",
  'libs/testing/src/fake.ts': `${header}export const fake = 1;\n`,
  'apps/registry/package.json': project('registry', 'app', {
    dependencies: { '@switchyard/redis': '*', '@switchyard/http': '*', '@switchyard/runtime': '*' },
  }),
  'apps/registry/src/main.ts': `${header}import { store } from '@switchyard/redis';\nimport { store as again } from '@switchyard/redis/queues';
import { serve } from '@switchyard/http';\nexport const wired = [store, again, serve];\n`,
  'apps/dispatcher/package.json': project('dispatcher', 'app', { dependencies: { '@switchyard/registry': '*' } }),
  'apps/dispatcher/src/main.ts': `${header}export const wired = 1;\n`,
  'tools/dev/up.mjs': 'export default process.env;\n',
  'README.md':
    'See `libs/redis/src/store.ts`, [the page](docs/page.md), `libs/*/src` and <https://example.org>; `npm test`.\n',
  'docs/page.md':
    '[Back](../README.md#top), `/v1/events`, `libs/redis`, `libs/catalog/src/decide.test.ts`: "decides"\n',
};
for (const name of ['catalog', 'redis', 'http'])
  sound[`libs/${name}/package.json`].devDependencies = { '@switchyard/testing': '*' };

/** Packages as `npm install` would leave them. */
const installed = ['zod', 'ioredis', 'express', 'left-pad', 'supertest'];

/** file, its text, and the rules that must name it. */
const planted = [
  [
    'libs/catalog/src/reads-files.ts',
    "import { readFileSync } from 'node:fs';\nexport const x = readFileSync;",
    ['purity'],
  ],
  ['libs/catalog/src/reads-paths.ts', "import { join } from 'path';\nexport const x = join;", ['purity']],
  ['libs/catalog/src/uses-npm.ts', "import { z } from 'zod';\nexport const x = z;", ['purity']],
  ['libs/catalog/src/uses-npm-type.ts', "import type { z } from 'zod';\nexport type X = z;", ['purity']],
  ['libs/catalog/src/reads-clock.ts', 'export const x = (): number => Date.now();', ['purity']],
  ['libs/catalog/src/reads-date.ts', 'export const x = (): Date => new Date();', ['purity']],
  ['libs/catalog/src/rolls-dice.ts', 'export const x = (): number => Math.random();', ['purity']],
  ['libs/catalog/src/waits.ts', 'export async function x(): Promise<void> {}', ['purity']],
  ['libs/catalog/src/waits-in-class.ts', 'export class X { async y(): Promise<void> {} }', ['purity']],
  ['libs/catalog/src/promises.ts', 'export const x = Promise.resolve(1);', ['purity']],
  ['libs/catalog/src/hides.ts', 'export const x = globalThis;', ['purity']],
  [
    'libs/catalog/src/takes-platform.ts',
    "import { env } from '@switchyard/runtime';\nexport const x = env;",
    ['layers', 'undeclared'],
  ],
  ['libs/protocol/src/uses-node.ts', "import { hostname } from 'node:os';\nexport const x = hostname;", ['purity']],
  ['libs/protocol/src/uses-npm.ts', "import pad from 'left-pad';\nexport const x = pad;", ['purity', 'undeclared']],
  ['libs/http/src/takes-adapter.ts', "import { store } from '@switchyard/redis';\nexport const x = store;", ['layers']],
  [
    'libs/http/src/takes-adapter-type.ts',
    "import type { store } from '@switchyard/redis';\nexport type X = typeof store;",
    ['layers'],
  ],
  ['libs/http/src/takes-adapter-later.ts', "export const x = import('@switchyard/redis');", ['layers']],
  ['libs/http/src/takes-ioredis.ts', "import { Redis } from 'ioredis';\nexport const x = Redis;", ['owner']],
  [
    'libs/redis/src/takes-express.ts',
    "import express from 'express';\nexport const x = express;",
    ['owner', 'undeclared'],
  ],
  [
    'libs/redis/src/takes-express.test.ts',
    "import express from 'express';\nexport const x = express;",
    ['owner', 'undeclared'],
  ],
  ['libs/redis/src/undeclared.ts', "import pad from 'left-pad';\nexport const x = pad;", ['undeclared']],
  ['libs/redis/src/undeclared.test.ts', "import pad from 'left-pad';\nexport const x = pad;", ['undeclared']],
  [
    'libs/redis/src/undeclared-here.ts',
    "import { env } from '@switchyard/runtime';\nexport const x = env;",
    ['undeclared'],
  ],
  [
    'libs/redis/src/leaves.ts',
    "import { decide } from '../../catalog/src/decide.ts';\nexport const x = decide;",
    ['project-border'],
  ],
  [
    'libs/redis/src/leaves-to-tools.ts',
    "import up from '../../../tools/dev/up.mjs';\nexport const x = up;",
    ['project-border'],
  ],
  [
    'libs/redis/src/deep.ts',
    "import { store } from '@switchyard/catalog/src/decide.ts';\nexport const x = store;",
    ['unresolved'],
  ],
  ['libs/redis/src/no-ending.ts', "import { store } from './stores.ts';\nexport const x = store;", ['unresolved']],
  ['libs/redis/src/round.ts', "import { y } from './about.ts';\nexport const x = (): unknown => y;", ['cycle']],
  ['libs/redis/src/about.ts', "import { x } from './round.ts';\nexport const y = (): unknown => x;", ['cycle']],
  [
    'libs/redis/src/takes-testing.ts',
    "import { fake } from '@switchyard/testing';\nexport const x = fake;",
    ['testing', 'undeclared'],
  ],
  [
    'libs/redis/src/takes-tool-of-tests.ts',
    "import request from 'supertest';\nexport const x = request;",
    ['testing', 'undeclared'],
  ],
  ['libs/redis/src/takes-a-test.ts', "import { x } from './undeclared.test.ts';\nexport const y = x;", ['testing']],
  ['libs/redis/src/names-a-key.ts', "export const x = '{switchyard}:instances';", ['redis-name']],
  [
    'libs/redis/src/names-a-channel.ts',
    'export const x = (n: number): string => `switchyard:events${n}`;',
    ['redis-name'],
  ],
  ['libs/redis/src/scripts/names-a-key.lua', "-- Guarantee: none.\nreturn '{switchyard}:x'", ['redis-name']],
  ['libs/redis/src/default-value.ts', 'export default 1;', ['default-export']],
  ['libs/redis/src/default-function.ts', 'export default function x(): void {}', ['default-export']],
  ['libs/redis/src/default-name.ts', 'const x = 1;\nexport { x as default };', ['default-export']],
  ['libs/redis/src/exports-all.ts', "export * from './store.ts';", ['barrel']],
  ['libs/redis/src/re-exports.ts', "export { store } from './store.ts';", ['barrel']],
  ['libs/redis/src/scripts/index.ts', 'export const x = 1;', ['barrel']],
  ['libs/redis/src/reads-environment.ts', "export const x = process.env['HOME'];", ['environment']],
  ['libs/redis/src/unfinished.ts', ['export const x = 1; // ', 'TODO: the rest'].join(''), ['unfinished']],
  ['libs/redis/src/long.ts', 'export const x = 1;\n' + '// more\n'.repeat(400), ['length']],
  [
    'apps/dispatcher/src/takes-app.ts',
    "import { wired } from '../../registry/src/main.ts';\nexport const x = wired;",
    ['layers', 'project-border'],
  ],
  [
    'apps/dispatcher/src/takes-app-by-name.ts',
    "import { wired } from '@switchyard/registry';\nexport const x = wired;",
    ['unresolved'],
  ],
  ['apps/registry/src/main.ts', 'export const x = 1;\n' + '// more\n'.repeat(99), ['main']],
];

for (const text of [
  '`libs/redis/src/gone.ts`',
  '[old](../old.md)',
  'npm run nothing',
  '`libs/catalog/src/decide.test.ts`: "decides not"',
]) {
  planted.push([`docs/${planted.length}.md`, text, ['document']]);
}

async function writeTree(root, files) {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
}

/** A workspace with these files; `@switchyard/*` are links, as npm makes them. */
async function makeWorkspace(files) {
  const root = await mkdtemp(join(tmpdir(), 'house-rules-'));
  await writeTree(root, files);
  await writeTree(
    root,
    Object.fromEntries(
      installed.flatMap((name) => [
        [`node_modules/${name}/package.json`, { name, version: '1.0.0', main: 'index.js' }],
        [`node_modules/${name}/index.js`, 'module.exports = {};\n'],
      ]),
    ),
  );
  await mkdir(join(root, 'node_modules/@switchyard'));
  for (const [path, { name }] of Object.entries(files)) {
    if (/^(?:apps|libs)\/[^/]+\/package\.json$/.test(path)) {
      await symlink(join(root, dirname(path)), join(root, 'node_modules', name));
    }
  }
  return root;
}

/** Runs the command; `found` maps each file to the rules that name it. */
function check(root) {
  return new Promise((resolve) => {
    execFile(process.execPath, [command, '--root', root], (error, stdout, stderr) => {
      const found = {};
      for (const line of stdout.split('\n').filter((one) => /^(?:apps|libs|tools|docs)\//.test(one))) {
        const [path, rule, advice] = line.split(': ');
        assert.ok(advice, `says what to do: ${line}`);
        found[path] = [...new Set([...(found[path] ?? []), rule])].sort();
      }
      resolve({ code: error?.code ?? 0, found, stdout, stderr });
    });
  });
}

describe('house rules', () => {
  const roots = [];
  const run = async (files) => {
    const root = await makeWorkspace(files);
    roots.push(root);
    return check(root);
  };
  after(() => Promise.all(roots.map((root) => rm(root, { recursive: true, force: true }))));

  it('has nothing to say about a sound workspace', async () => {
    const { code, found, stderr } = await run(sound);

    assert.deepEqual(found, {}, stderr);
    assert.equal(code, 0, stderr);
  });

  describe('with a fault planted', () => {
    let outcome;
    before(async () => {
      const faults = planted.map(([path, text]) => [path, /\.(?:lua|md)$/.test(path) ? text : header + text]);
      outcome = await run({ ...sound, ...Object.fromEntries(faults) });
    });

    for (const [path, text, rules] of planted) {
      it(`names ${path} by ${rules.join(' and ')}: ${text.split('\n')[0]}`, () => {
        assert.deepEqual(outcome.found[path], rules, outcome.stdout + outcome.stderr);
      });
    }
    it('names no file that keeps the rules', () => {
      assert.deepEqual(Object.keys(outcome.found).sort(), planted.map(([path]) => path).sort());
    });
    it('fails', () => assert.equal(outcome.code, 1));
  });

  it('names a file that is not TypeScript, and nothing else until it is', async () => {
    const { code, found, stderr } = await run({
      ...sound,
      'libs/http/src/serve.ts': `${header}export cnst serve = 1;\n`,
    });

    assert.deepEqual(found, { 'libs/http/src/serve.ts': ['syntax'] }, stderr);
    assert.equal(code, 1);
  });

  it('names a project without a layer, a library without a face, an app that offers itself, a file without a question', async () => {
    const { code, found } = await run({
      ...sound,
      'libs/nowhere/package.json': { name: '@switchyard/nowhere' },
      'apps/registry/package.json': { ...sound['apps/registry/package.json'], exports: { '.': './src/main.ts' } },
      'libs/http/src/serve.ts': "import express from 'express';\nexport const serve = express;\n",
    });

    assert.deepEqual(found, {
      'libs/nowhere/package.json': ['barrel', 'layer'],
      'apps/registry/package.json': ['layers'],
      'libs/http/src/serve.ts': ['header'],
    });
    assert.equal(code, 1);
  });
});
