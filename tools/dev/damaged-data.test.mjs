import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { damageSigns as signsOfTheManager } from '../../libs/replication/src/data-damage.ts';
import { childLogs } from './child-log.mjs';
import { damageIn, damageSigns, putAside } from './damaged-data.mjs';
import { pause, signalTo } from './process-identity.mjs';
import { sentinelKind } from './redis-group.mjs';
import { roleOf } from './redis-live.mjs';
import { findRedisServer } from './redis-server.mjs';
import { ask } from './resp.mjs';
import { supervise } from './supervisor.mjs';

/** A digest of all strings, the same in whatever order they are kept. */
const digest = `local keys = redis.call('KEYS', '*'); table.sort(keys); local sum = '';
for _, key in ipairs(keys) do sum = redis.sha1hex(sum .. key .. redis.call('GET', key)) end; return #keys .. ' ' .. sum`;

async function soon(question, what, timeoutMs = 60_000) {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await question().catch(() => undefined);
    if (answer) return answer;
    assert.ok(performance.now() < deadlineMs, `${what} did not happen in ${timeoutMs} ms`);
    await pause(100);
  }
}

async function freePorts(names) {
  const held = await Promise.all(
    names.map(
      () =>
        new Promise((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return Object.fromEntries(names.map((name, index) => [name, ports[index]]));
}

describe('what a node says before it ends', () => {
  it('is known by the same signs to the yard and to the manager', () => {
    assert.deepEqual(damageSigns.map(String), signsOfTheManager.map(String));
  });

  it('is damage only in words that end a start', () => {
    assert.match(damageIn('1:M # Server initialized\n1:M # Short read or OOM loading DB. aborting'), /Short read/);
    assert.equal(damageIn('1:M # Failed listening on port 1 (TCP), aborting.'), undefined);
  });
});

describe('files that are put aside', () => {
  it('are kept, and no more than five times', () => {
    const directory = mkdtempSync(join(tmpdir(), 'switchyard-test-aside-'));
    try {
      for (let time = 1; time <= 5; time += 1) {
        writeFileSync(join(directory, 'dump.rdb'), `data ${time}`);
        const { aside } = putAside(directory, time * 1_000);
        assert.equal(readFileSync(join(aside, 'dump.rdb'), 'utf8'), `data ${time}`);
      }
      writeFileSync(join(directory, 'dump.rdb'), 'data 6');
      assert.match(putAside(directory, 6_000).why, /5 sets/);
      assert.equal(readFileSync(join(directory, 'dump.rdb'), 'utf8'), 'data 6');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('a node of the yard whose files are damaged', () => {
  const home = mkdtempSync(join(tmpdir(), 'switchyard-test-damaged-'));
  const said = [];
  let ports;
  let members;

  const processOf = (name) => members.find((member) => member.name === name);
  const inStep = (name) =>
    soon(async () => {
      const info = await ask(ports[name], ['INFO', 'replication']);
      return /role:slave/.test(info) && /master_link_status:up/.test(info);
    }, `${name} in step`);
  const appendOnly = (name) => join(home, 'redis', name, 'appendonlydir');
  /** Ended as by a power cut, and then damaged while it is down. */
  const damage = async (name, how) => {
    const { pid } = processOf(name);
    signalTo(pid(), 'SIGKILL');
    await soon(async () => pid() === undefined, `${name} has ended`);
    how();
  };
  const overwrite = (file) => {
    const bytes = readFileSync(file);
    bytes.fill('X', Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 8);
    writeFileSync(file, bytes);
  };
  const sameAsPrimary = async (name) => {
    await soon(async () => {
      const [own, primary] = await Promise.all([name, 'r1'].map((node) => ask(ports[node], ['EVAL', digest, '0'])));
      return own === primary && own.startsWith('500 ');
    }, `${name} with the data of r1`);
  };

  before(async () => {
    ports = await freePorts(['r1', 'r2', 'r3', 's1', 's2', 's3']);
    mkdirSync(join(home, 'run'));
    const setup = { home, ports, redisServer: await findRedisServer({ install: false }) };
    const group = sentinelKind.prepare({ home, ports, wanted: ports });
    const around = { home, logs: childLogs(join(home, 'logs')), say: (line) => said.push(line) };
    members = sentinelKind.specs(setup, group).map((spec) => supervise({ ...spec, delays: { firstMs: 300 } }, around));
    await soon(async () => (await roleOf(ports.r1)) === 'master', 'r1 as primary');
    const fill = `for i = 1, 500 do redis.call('SET', 'key:' .. i, string.rep(tostring(i), 20)) end`;
    await ask(ports.r1, ['EVAL', fill, '0']);
    await Promise.all(['r2', 'r3'].map(inStep));
  });
  after(async () => {
    for (const { kill } of members) kill();
    await soon(async () => members.every(({ pid }) => pid() === undefined), 'the end of all');
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  });

  it('begins anew when the base of its append-only file is damaged, and has all data again', async () => {
    // One may be under way, of the copy of the primary.
    await soon(() => ask(ports.r2, ['BGREWRITEAOF']), 'a rewrite');
    const base = await soon(async () => {
      assert.match(await ask(ports.r2, ['INFO', 'persistence']), /aof_rewrite_in_progress:0/);
      const bases = readdirSync(appendOnly('r2')).filter((file) => file.endsWith('.base.rdb'));
      return bases.find((file) => statSync(join(appendOnly('r2'), file)).size > 1_000);
    }, 'a base with data');
    await damage('r2', () => overwrite(join(appendOnly('r2'), base)));
    await inStep('r2');
    await sameAsPrimary('r2');
    const aside = readdirSync(join(home, 'redis', 'r2')).filter((name) => name.startsWith('damaged-'));
    assert.equal(aside.length, 1);
    assert.ok(statSync(join(home, 'redis', 'r2', aside[0], 'appendonlydir', base)).size > 1_000);
    assert.ok(
      said.some((line) => line.includes('its files are damaged') && line.includes(aside[0])),
      said.join('\n'),
    );
  });

  it('begins anew when a snapshot is all that it has, and that is cut off', async () => {
    // As a node that keeps no append-only file.
    await ask(ports.r3, ['CONFIG', 'SET', 'appendonly', 'no']);
    await ask(ports.r3, ['SAVE']);
    const directory = join(home, 'redis', 'r3');
    await damage('r3', () => {
      const base = readdirSync(appendOnly('r3')).find((file) => file.endsWith('.base.rdb'));
      const bytes = readFileSync(join(directory, 'dump.rdb'));
      writeFileSync(join(appendOnly('r3'), base), bytes.subarray(0, Math.floor(bytes.length / 2)));
    });
    await inStep('r3');
    await sameAsPrimary('r3');
    assert.ok(readdirSync(directory).some((name) => name.startsWith('damaged-')));
  });
});

describe('a node of the compose stack whose files are damaged', () => {
  const script = join(dirname(fileURLToPath(import.meta.url)), '../../docker/redis/damaged.sh');
  /** What the start script does directly before it starts redis-server. */
  const begin = (directory, { role = 'master', lastS = 5 } = {}) => {
    writeFileSync(join(directory, '.switchyard-started'), String(Math.floor(Date.now() / 1_000) - lastS));
    const around = `role_of() { echo ${role}; }; keys_of() { echo 7; }; say() { echo "$*"; }`;
    const words = ['-euc', `. ${script}; ${around}; begin_anew_if_damaged "$1" 10.0.0.1:6379`, 'sh', directory];
    return execFileSync('sh', words, { encoding: 'utf8' });
  };
  const kept = (directory) => readdirSync(directory).filter((name) => name.startsWith('damaged-'));
  let directory;
  let redisServer;
  let base;

  before(async () => {
    redisServer = await findRedisServer({ install: false });
    directory = mkdtempSync(join(tmpdir(), 'switchyard-test-compose-'));
    const { node: port } = await freePorts(['node']);
    const words = ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--appendonly', 'yes', '--save', ''];
    const server = spawn(redisServer, words.map(String), { stdio: 'ignore' });
    const ended = new Promise((resolve) => server.once('exit', resolve));
    await soon(
      () => ask(port, ['EVAL', `for i = 1, 500 do redis.call('SET', i, string.rep(i, 20)) end; return 1`, '0']),
      'data',
    );
    await soon(() => ask(port, ['BGREWRITEAOF']), 'a rewrite');
    base = await soon(async () => {
      const files = readdirSync(join(directory, 'appendonlydir')).filter((file) => file.endsWith('.base.rdb'));
      return files.find((file) => statSync(join(directory, 'appendonlydir', file)).size > 1_000);
    }, 'a base with data');
    server.kill('SIGKILL');
    await ended;
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('keeps its files while they are whole, however often it starts', () => {
    begin(directory);
    assert.deepEqual(kept(directory), []);
  });

  it('begins anew, as a replica of a primary that serves, when its last start failed because of them', () => {
    const file = join(directory, 'appendonlydir', base);
    const bytes = readFileSync(file);
    bytes.fill('X', 200, 208);
    writeFileSync(file, bytes);
    assert.equal(begin(directory, { lastS: 86_400 }), '');
    assert.match(begin(directory, { role: 'slave' }), /stay where they are/);
    assert.deepEqual(kept(directory), []);
    assert.match(begin(directory), /kept in/);
    const [aside] = kept(directory);
    assert.deepEqual(readFileSync(join(directory, aside, 'appendonlydir', base)), bytes);
    assert.equal(begin(directory), '');
  });
});
