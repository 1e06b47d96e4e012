// Are the libraries new enough not to hang? Below these floors a worker wedges after an outage, or its blocking connection is killed while
// it looks for the primary (bullmq#4378, #4479, #4484; on 6 also #4586), and a dead peer is never noticed (ioredis#1314).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const floors: Readonly<Record<string, Readonly<Record<number, readonly [number, number]>>>> = {
  bullmq: { 5: [81, 3], 6: [7, 0] },
  ioredis: { 5: [11, 1], 6: [0, 0] },
};
/** Of majors that nobody has tried: try the tests of this folder with them, then add them here. */
const required = createRequire(import.meta.url);

const versionOf = (name: string): string => {
  const entry = required.resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(`/node_modules/${name}/`) + `/node_modules/${name}/`.length);
  return (JSON.parse(readFileSync(`${folder}package.json`, 'utf8')) as { version: string }).version;
};

const isAtLeast = (version: string, name: string): boolean => {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const floor = floors[name]?.[major];
  return floor !== undefined && (minor > floor[0] || (minor === floor[0] && patch >= floor[1]));
};

describe('the version', () => {
  it.each(Object.keys(floors))('of %s is one that survives failovers', (name) => {
    const version = versionOf(name);

    expect({ name, version, ok: isAtLeast(version, name) }).toMatchObject({ ok: true });
  });

  it.each([
    ['bullmq', '6.1.0'],
    ['bullmq', '5.81.2'],
    ['bullmq', '7.0.0'],
    ['ioredis', '5.11.0'],
  ])('%s %s is refused', (name, version) => {
    expect(isAtLeast(version, name)).toBe(false);
  });

  it('of what BullMQ brings along is the same as ours', () => {
    const own = createRequire(required.resolve('bullmq')).resolve('ioredis');

    expect(own).toBe(required.resolve('ioredis'));
  });
});
