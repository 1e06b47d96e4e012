import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { readArguments } from './arguments.mjs';
import { describeEnd, needsRestart, restartDelay } from './backoff.mjs';
import { pathWithoutPackages, runsTypeScript } from './dependencies.mjs';
import { endRecorded, isStill, startTimeOf } from './process-identity.mjs';
import { majority } from './redis-live.mjs';
import { majorVersion } from './redis-server.mjs';
import { readReply } from './resp.mjs';
import { readyLines } from './screen.mjs';
import { redisKindOf } from './redis-kind.mjs';
import { commonEnvironment } from './yard.mjs';

describe('readArguments', () => {
  it('knows its two options', () => {
    assert.deepEqual(readArguments([]), { kind: 'run', backends: 3, ephemeral: false });
    assert.deepEqual(readArguments(['--backends', '5', '--ephemeral']), { kind: 'run', backends: 5, ephemeral: true });
    assert.equal(readArguments(['--backends=0']).backends, 0);
    assert.equal(readArguments(['--help']).kind, 'help');
  });

  it('refuses everything else with the reason', () => {
    for (const words of [['--backend'], ['--backends'], ['--backends', '-1'], ['--backends=51'], ['5']]) {
      assert.equal(readArguments(words).kind, 'wrong', words.join(' '));
    }
  });
});

describe('restartDelay', () => {
  it('doubles up to its limit and starts over after a calm life', () => {
    const delay = restartDelay();
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7].map(() => delay.next(100)),
      [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000],
    );
    assert.equal(delay.next(30_000), 500);
  });
});

describe('the end of a process', () => {
  it('is told in words', () => {
    assert.equal(describeEnd({ code: null, signal: 'SIGKILL' }), 'was killed by SIGKILL');
    assert.equal(describeEnd({ code: 1, signal: null }), 'ended with code 1');
  });

  it('is respected only when it was clean and the process is free to leave', () => {
    assert.equal(needsRestart({ code: 0 }, { mayLeave: true }), false);
    assert.equal(needsRestart({ code: 0 }, { mayLeave: false }), true);
    assert.equal(needsRestart({ code: 1 }, { mayLeave: true }), true);
    assert.equal(needsRestart({ code: null }, { mayLeave: true }), true);
  });
});

describe('a recorded process', () => {
  it('is known by pid and start time, and ended only if both fit', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
    try {
      const record = { name: 'it', pid: child.pid, startTime: startTimeOf(child.pid) };
      assert.equal(isStill(record), true);
      const other = { ...record, startTime: '1' };
      assert.deepEqual(await endRecorded([other], 100), []);
      assert.equal(isStill(record), true);
      assert.deepEqual(await endRecorded([record], 5_000), ['it']);
      assert.equal(await ended, 'SIGTERM');
      assert.equal(isStill(record), false);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('versions', () => {
  it('of Redis and Valkey are read from what they say', () => {
    assert.equal(majorVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64'), 7);
    assert.equal(majorVersion('Valkey server v=8.1.1 sha=00000000'), 8);
    assert.equal(majorVersion('bash: redis-server: command not found'), undefined);
  });

  it('of Node tell whether it runs TypeScript', () => {
    assert.deepEqual(['20.20.2', '22.17.9', '22.18.0', '23.5.0', '24.0.0'].map(runsTypeScript), [
      false,
      false,
      true,
      false,
      true,
    ]);
  });
});

describe('majority', () => {
  it('needs more than half of all Sentinels, not of those that answered', () => {
    assert.equal(majority([4732, 4732, 4731]), 4732);
    assert.equal(majority([4732, undefined, undefined]), undefined);
    assert.equal(majority([4731, 4732, undefined]), undefined);
  });
});

describe('readReply', () => {
  it('reads a reply only when it is whole', () => {
    const whole = '*2\r\n$4\r\nmain\r\n:7\r\n';
    for (let length = 0; length < whole.length; length += 1)
      assert.equal(readReply(whole.slice(0, length), 0), undefined);
    assert.deepEqual(readReply(whole, 0).value, ['main', 7]);
    assert.throws(() => readReply('-LOADING wait\r\n', 0), /LOADING/);
  });
});

describe('the environment of services', () => {
  const ports = { registry: 1, r1: 31, r2: 32, r3: 33, r4: 34, r5: 35, r6: 36, s1: 41, s2: 42, s3: 43 };
  const setup = { root: '/repo', home: '/home/y', cache: '/c', ports, redisKind: redisKindOf({}).kind };

  it('has no ports, ids or options of the caller', () => {
    const env = commonEnvironment(setup, {
      NODE_OPTIONS: '--inspect',
      npm_config_x: '1',
      SWITCHYARD_REGISTRY_PORT: '9',
      SWITCHYARD_INSTANCE_ID: 'mine',
      SWITCHYARD_LOG_LEVEL: 'debug',
      PATH: '/bin',
    });
    assert.deepEqual(env, {
      MALLOC_ARENA_MAX: '2',
      NODE_COMPILE_CACHE: '/c',
      PATH: '/repo/node_modules/.bin:/bin',
      SWITCHYARD_BACKUP_REPOSITORY: '/home/y/backups',
      SWITCHYARD_HOST: '127.0.0.1',
      SWITCHYARD_LOG_LEVEL: 'debug',
      SWITCHYARD_REDIS_GROUP: 'main',
      SWITCHYARD_REDIS_SENTINELS: '127.0.0.1:41,127.0.0.1:42,127.0.0.1:43',
      SWITCHYARD_REGISTRY_URL: 'http://127.0.0.1:1',
    });
  });

  it("names somebody else's Redis instead of Sentinels when told so", () => {
    const env = commonEnvironment({ ...setup, redisUrl: 'redis://h:1' }, { SWITCHYARD_REDIS_SENTINELS: 'x:1' });
    assert.deepEqual([env.SWITCHYARD_REDIS_URL, env.SWITCHYARD_REDIS_SENTINELS], ['redis://h:1', undefined]);
  });
});

describe('the kind of Redis', () => {
  const ports = { registry: 1, r1: 31, r2: 32, r3: 33, r4: 34, r5: 35, r6: 36 };

  it('gives all services the nodes of a cluster, and no Sentinels of the caller', () => {
    const { kind } = redisKindOf({ SWITCHYARD_REDIS_KIND: 'cluster' });
    const setup = { root: '/repo', home: '/home/y', cache: '/c', ports, redisKind: kind };
    const env = commonEnvironment(setup, { SWITCHYARD_REDIS_KIND: 'cluster', SWITCHYARD_REDIS_SENTINELS: 'x:1' });
    assert.equal(env.SWITCHYARD_REDIS_CLUSTER, [31, 32, 33, 34, 35, 36].map((port) => `127.0.0.1:${port}`).join(','));
    assert.deepEqual([env.SWITCHYARD_REDIS_SENTINELS, env.SWITCHYARD_REDIS_KIND], [undefined, undefined]);
  });

  it('is refused by name when there is none of it', () => {
    const { ok, why } = redisKindOf({ SWITCHYARD_REDIS_KIND: 'clutser' });
    assert.equal(ok, false);
    assert.match(why, /sentinel or cluster, not "clutser"/);
    assert.equal(redisKindOf({ SWITCHYARD_REDIS_KIND: 'toString' }).ok, false);
  });
});

describe('the screen', () => {
  it('has at most eight lines, because npm adds four, and says that there is no authentication', () => {
    const lines = readyLines({
      seconds: 6.21,
      backends: 3,
      redis: 'Redis primary r1',
      ports: { traffic: 4700, control: 4710 },
      home: '/repo/.switchyard',
      cwd: '/repo',
      ephemeral: false,
      breakable: [{ what: 'demo-1', pid: 7 }],
      colour: false,
    });
    assert.ok(lines.length <= 8);
    assert.match(lines.join('\n'), /6\.2 s[^]*127\.0\.0\.1:4700[^]*kill -9 7[^]*no authentication/);
    assert.ok(!lines.join('').includes('\u001B'));
  });
});

describe('PATH for npm', () => {
  it('is without packages of this repository', () => {
    assert.equal(pathWithoutPackages('/repo/node_modules/.bin:/usr/bin:/x/node_modules/.bin/'), '/usr/bin');
  });
});
