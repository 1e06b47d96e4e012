// Which projects are there, on which layer, and what may each of them import? Read from package.json, kept nowhere else.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What each layer may import besides its own project. `testing` is open to tests as well: the rule `testing` sees to that. */
export const layers = {
  contract: [],
  domain: ['contract', 'domain'],
  platform: ['contract'],
  adapter: ['contract', 'domain', 'platform'],
  app: ['contract', 'domain', 'platform', 'adapter'],
  testing: ['contract', 'domain', 'platform', 'adapter'],
  e2e: ['contract', 'platform', 'testing'],
};

/** Packages with one owner: nobody else imports them, not even by declaring them. */
export const owners = {
  'libs/redis': ['ioredis', 'bullmq', 'bullmq-otel'],
  'libs/http': ['express', 'zod-openapi'],
  'libs/runtime': ['pino', 'yaml', '@prometheus-io/client', '@opentelemetry/[^/]+'],
};

/** Tests, and what only tests import. */
export const testFile = /(?:\.test|\.e2e|-fixture)\.tsx?$/;

const namesOf = (table) => Object.keys(table ?? {});

/** Every project of the workspace: folder, package name, layer (undefined when its tag is missing), declared packages. */
export function readProjects(root) {
  return ['apps', 'libs'].flatMap((group) => {
    const folder = join(root, group);
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .filter((name) => existsSync(join(folder, name, 'package.json')))
      .map((name) => {
        const manifest = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8'));
        const tags = (manifest.nx?.tags ?? []).filter((tag) => tag.startsWith('layer:'));
        const layer = tags.length === 1 ? tags[0].slice('layer:'.length) : undefined;
        return {
          path: `${group}/${name}`,
          name: manifest.name,
          layer: layer !== undefined && Object.hasOwn(layers, layer) ? layer : undefined,
          dependencies: namesOf(manifest.dependencies),
          devDependencies: namesOf(manifest.devDependencies),
          entries: Object.values(manifest.exports ?? {}).map((target) => `${group}/${name}/${target.slice(2)}`),
        };
      });
  });
}
