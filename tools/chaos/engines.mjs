// Where do newer engines come from, to run the tests on? Redis and Valkey as a newer Debian has them, unpacked into a cache folder
// and started with the libraries that they were built for. Nothing on the system changes; packages are checked by apt's signatures.
//
//   node tools/chaos/engines.mjs                   Redis 8 and Valkey 8.1 of trixie (Debian 13); prints their paths
//   node tools/chaos/engines.mjs --suite forky     of another suite
//   node tools/chaos/engines.mjs --test libs/redis,apps/replication-manager     then their tests, on each engine
//
// By hand: SWITCHYARD_REDIS_SERVER=<path> before any test. Needs apt and dpkg (Debian or Ubuntu with Debian's archive keyring).
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const root = join(import.meta.dirname, '..', '..');
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const engines = [
  { name: 'redis', server: 'redis-server', packages: ['redis-server'] },
  { name: 'valkey', server: 'valkey-server', packages: ['valkey-server'] },
];
const { values } = parseArgs({
  options: {
    suite: { type: 'string', default: 'trixie' },
    only: { type: 'string', default: 'redis,valkey' },
    test: { type: 'string' },
    force: { type: 'boolean', default: false },
  },
});
const cache = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'switchyard-engines',
  /^[a-z]+$/.test(values.suite) ? values.suite : fail(`--suite ${values.suite}: that is not the name of a suite.`),
);

const wanted = engines.filter(({ name }) => values.only.split(',').includes(name));
if (wanted.length === 0) fail(`--only takes ${engines.map(({ name }) => name).join(' and ')}.`);
if (values.force) rmSync(cache, { recursive: true, force: true });
const ready = wanted.map((engine) => ({ ...engine, path: obtain(engine) }));
for (const { path } of ready) console.log(`${path}   ${run(path, ['--version']).trim()}`);
if (values.test !== undefined) process.exitCode = testOn(ready, values.test.split(',')) ? 0 : 1;

/** The path of a script that starts the engine; from the cache when it is there. */
function obtain({ name, server, packages }) {
  const place = join(cache, name);
  const start = join(place, server);
  if (existsSync(start)) return start;
  const archive = archiveOfThisSystem();
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, '.work-'));
  try {
    for (const folder of ['lists/partial', 'cache/archives/partial', 'root']) {
      mkdirSync(join(work, folder), { recursive: true });
    }
    // An empty status: apt then brings every library, also those that this system has in an older version.
    writeFileSync(join(work, 'status'), '');
    writeFileSync(join(work, 'sources.list'), `deb [signed-by=${keyring}] ${archive} ${values.suite} main\n`);
    const apt = (words) => run('apt-get', [...privateApt(work), ...words]);
    apt(['update']);
    apt(['-y', '--download-only', 'install', ...packages]);
    const archives = join(work, 'cache/archives');
    for (const file of readdirSync(archives).filter((one) => one.endsWith('.deb'))) {
      run('dpkg-deb', ['-x', join(archives, file), join(work, 'root')]);
    }
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    run('mv', [join(work, 'root'), join(place, 'root')]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return writeStart({ place, server, start });
}

/** A script that takes the place of the binary: same process, its own C library. */
function writeStart({ place, server, start }) {
  const inside = join(place, 'root');
  const loader = ['lib64/ld-linux-x86-64.so.2', 'usr/lib64/ld-linux-x86-64.so.2', 'lib/ld-linux-aarch64.so.1']
    .map((path) => join(inside, path))
    .find((path) => existsSync(path));
  if (loader === undefined) fail(`There is no dynamic loader in ${inside}: which processor is this?`);
  const triplet = loader.includes('aarch64') ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const binary = join(inside, 'usr/bin', server);
  writeFileSync(
    start,
    '#!/bin/sh\n' +
      `exec '${loader}' --argv0 ${server} --library-path '${inside}/usr/lib/${triplet}:${inside}/lib/${triplet}' '${binary}' "$@"\n`,
  );
  chmodSync(start, 0o755);
  return start;
}

function privateApt(work) {
  const settings = {
    'Dir::Etc::sourcelist': join(work, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(work, 'lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    // root's apt would otherwise become a user that may not read a home directory
    'APT::Sandbox::User': 'root',
    'APT::Install-Recommends': 'false',
  };
  return ['-qq', ...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])];
}

/** The Debian archive that this system's apt uses: a mirror near it, maybe the only one it can reach. */
function archiveOfThisSystem() {
  const listed = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI)'], { encoding: 'utf8' });
  const archive = (listed.stdout ?? '').split('\n').find((line) => /\/debian\/?$/.test(line));
  if (archive === undefined) {
    fail(
      'apt knows no Debian archive here; set SWITCHYARD_REDIS_SERVER to a redis-server or valkey-server of your own.',
    );
  }
  if (!existsSync(keyring)) fail(`${keyring} is missing: apt-get install debian-archive-keyring.`);
  return archive;
}

/** The tests of these projects on each engine; false when any failed. */
function testOn(all, projects) {
  const outcomes = all.flatMap(({ name, path }) =>
    projects.map((project) => {
      console.log(`\n== ${name}: ${project}`);
      const jest = join(root, 'node_modules/jest/bin/jest.js');
      const words = [
        jest,
        '--config',
        join(root, 'tools/jest/config.mjs'),
        '--rootDir',
        '.',
        '--testPathPatterns',
        'int.test',
      ];
      const { status } = spawnSync(process.execPath, words, {
        cwd: join(root, project),
        stdio: 'inherit',
        env: {
          ...process.env,
          SWITCHYARD_REDIS_SERVER: path,
          NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
        },
      });
      return { name, project, ok: status === 0 };
    }),
  );
  console.log('');
  for (const { name, project, ok } of outcomes) console.log(`${ok ? 'ok    ' : 'FAILED'}  ${name}  ${project}`);
  return outcomes.every(({ ok }) => ok);
}

function run(command, words) {
  const { status, stdout, stderr, error } = spawnSync(command, words, { encoding: 'utf8', timeout: 300_000 });
  if (status !== 0) fail(`${command} ${words.slice(-3).join(' ')}: ${error?.message ?? stderr.trim().slice(-800)}`);
  return stdout;
}

function fail(text) {
  console.error(`engines: ${text}`);
  process.exit(2);
}
