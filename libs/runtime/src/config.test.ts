import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ConfigOf } from './config.ts';
import { ConfigError, loadConfig, showConfig } from './config.ts';
import { createLogger } from './logger.ts';
import { setting } from './setting.ts';

const doc = 'for the test';
const schema = {
  host: setting.string({ env: 'SWITCHYARD_HOST', default: '127.0.0.1', doc }),
  port: setting.port({ env: 'SWITCHYARD_REGISTRY_PORT', default: 4721, doc }),
  sweepMs: setting.durationMs({ env: 'SWITCHYARD_REGISTRY_SWEEP_MS', default: 250, min: 50, max: 10_000, doc }),
  mode: setting.choice({ env: 'SWITCHYARD_REGISTRY_MODE', choices: ['strict', 'lenient'], default: 'strict', doc }),
  redis: {
    url: setting.url({ env: 'SWITCHYARD_REDIS_URL', protocols: ['redis:', 'rediss:'], optional: true, doc }),
    sentinels: setting.list({ env: 'SWITCHYARD_REDIS_SENTINELS', default: [], doc }),
    password: setting.string({ env: 'SWITCHYARD_REDIS_PASSWORD', optional: true, secret: true, doc }),
  },
};

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'switchyard-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const load = (env: NodeJS.ProcessEnv): ConfigOf<typeof schema> => loadConfig(schema, { env, app: 'registry' });
const problemsOf = (env: NodeJS.ProcessEnv): readonly string[] => {
  try {
    load(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('settings', () => {
  it('have their defaults when nothing is set, and an empty variable sets nothing', () => {
    expect(load({ SWITCHYARD_REGISTRY_PORT: '', SWITCHYARD_CONFIG: '' })).toEqual({
      host: '127.0.0.1',
      port: 4721,
      sweepMs: 250,
      mode: 'strict',
      redis: { url: undefined, sentinels: [], password: undefined },
    });
  });

  it('come from the environment over the file over the default', () => {
    const yaml = file(
      'a.yaml',
      'registry:\n  port: 5000\n  sweep-ms: 1s\nredis:\n  sentinels: [a:1, "b:2"]\nhost: 0.0.0.0\n',
    );

    const config = load({ SWITCHYARD_CONFIG: yaml, SWITCHYARD_REGISTRY_PORT: '6000' });

    expect(config).toMatchObject({ host: '0.0.0.0', port: 6000, sweepMs: 1000, redis: { sentinels: ['a:1', 'b:2'] } });
  });

  it('may be written flat or nested, with anchors, and keep text that looks like a number', () => {
    const yaml = file('b.yaml', 'redis_password: &p 0123\nregistry_port: 1\nregistry:\n  mode: lenient\n');

    expect(load({ SWITCHYARD_CONFIG: yaml })).toMatchObject({ port: 1, mode: 'lenient', redis: { password: '0123' } });
  });

  it('read a secret from the file that <name>_FILE names', () => {
    const secret = file('secret', 'hunter2\n');

    expect(load({ SWITCHYARD_REDIS_PASSWORD_FILE: secret }).redis.password).toBe('hunter2');
    expect(problemsOf({ SWITCHYARD_REDIS_PASSWORD_FILE: secret, SWITCHYARD_REDIS_PASSWORD: 'x' })).toEqual([
      'SWITCHYARD_REDIS_PASSWORD and SWITCHYARD_REDIS_PASSWORD_FILE are both set; keep one of them',
    ]);
    expect(problemsOf({ SWITCHYARD_REDIS_PASSWORD_FILE: '/nowhere/secret' })[0]).toMatch(
      /^SWITCHYARD_REDIS_PASSWORD_FILE: \/nowhere\/secret cannot be read: ENOENT/,
    );
  });

  it('tell every mistake at once', () => {
    expect(
      problemsOf({
        SWITCHYARD_REGISTRY_PORT: '70000',
        SWITCHYARD_REGISTRY_SWEEP_MS: '1ms',
        SWITCHYARD_REGISTRY_MODE: 'lenent',
        SWITCHYARD_REDIS_URL: 'http://x',
      }),
    ).toEqual([
      'SWITCHYARD_REGISTRY_PORT: "70000" is not a port from 0 to 65535 (0 = any free one)',
      'SWITCHYARD_REGISTRY_SWEEP_MS: "1ms" is not a duration such as "3s" or "500ms" from 50 ms to 10000 ms',
      'SWITCHYARD_REGISTRY_MODE: "lenent" is not one of strict, lenient - did you mean "lenient"?',
      'SWITCHYARD_REDIS_URL: "http://x" is not a URL with redis: or rediss:',
    ]);
  });

  it('tell mistakes of the file with line, column and what was probably meant', () => {
    const yaml = file(
      'c.yaml',
      'registry:\n  prot: 1\n  sweep_ms: soon\nredis:\n  pasword: x\nregisty: { port: 1 }\nhost: a\nHOST: b\n',
    );

    expect(problemsOf({ SWITCHYARD_CONFIG: yaml })).toEqual([
      `${yaml}:8:1 HOST says the same setting as ${yaml}:7:1 host; keep one of them`,
      `${yaml}:2:3 registry.prot: there is no such setting - did you mean SWITCHYARD_REGISTRY_PORT, "registry: { port: ... }" here?`,
      `${yaml}:5:3 redis.pasword: there is no such setting - did you mean SWITCHYARD_REDIS_PASSWORD, "redis: { password: ... }" here?`,
      `${yaml}:6:12 registy.port: there is no such section - did you mean "registry"?`,
      `${yaml}:3:3 registry.sweep_ms (SWITCHYARD_REGISTRY_SWEEP_MS): "soon" is not a duration such as "3s" or "500ms" from 50 ms to 10000 ms`,
    ]);
  });

  it('of other services in the same file are not judged', () => {
    const yaml = file(
      'd.yaml',
      'dispatcher: { anything: 1 }\nbackup: { repository: /b }\nregistry: { url: "http://x" }\n',
    );

    expect(problemsOf({ SWITCHYARD_CONFIG: yaml })).toEqual([]);
  });

  it.each([
    ['broken syntax', 'registry: {port: 1\n', /:2:1: /],
    ['a list at the top', '- a\n', /:1:1: the file must hold keys and values/],
    ['the same key twice', 'host: a\nhost: b\n', /:2:1: Map keys must be unique/],
    [
      'a list of maps',
      'redis:\n  sentinels:\n    - a: 1\n',
      /:2:3 redis.sentinels: each item of a list must be a plain value/,
    ],
  ])('refuse a file with %s', (name, text, expected) => {
    const yaml = file(`${name.replaceAll(' ', '-')}.yaml`, text);

    expect(problemsOf({ SWITCHYARD_CONFIG: yaml })).toEqual([expect.stringMatching(expected)]);
  });

  it('refuse a file that is not there', () => {
    expect(problemsOf({ SWITCHYARD_CONFIG: '/nowhere.yaml' })[0]).toMatch(
      /^SWITCHYARD_CONFIG: \/nowhere.yaml cannot be read/,
    );
  });

  it('say what is required and what it is for', () => {
    const required = { url: setting.url({ env: 'SWITCHYARD_DEMO_URL', doc: 'where to register' }) };

    expect(() => loadConfig(required, { env: {}, app: 'demo' })).toThrow(
      'SWITCHYARD_DEMO_URL is required: where to register (a URL with http: or https:)',
    );
  });

  it('are checked across fields when each is right by itself', () => {
    const check = ({ port }: { readonly port: number }): readonly string[] => (port === 4721 ? ['not that port'] : []);

    expect(() => loadConfig(schema, { env: {}, app: 'registry', check })).toThrow('not that port');
    expect(() => loadConfig(schema, { env: { SWITCHYARD_REGISTRY_PORT: '1' }, app: 'registry', check })).not.toThrow();
  });

  it('warn of a variable that is nearly one of them, and leave others alone', () => {
    const lines: { problem: string }[] = [];
    const logger = createLogger('x', { level: 'warn', destination: { write: (line) => lines.push(JSON.parse(line)) } });

    loadConfig(schema, {
      env: {
        SWITCHYARD_REGISTRY_PROT: '1',
        SWITCHYARD_REGISTRY_URL: 'http://x',
        SWITCHYARD_REGISTRY_SOMETHING_ELSE: '1',
      },
      app: 'registry',
      logger,
    });

    expect(lines.map((line) => line.problem)).toEqual([
      'SWITCHYARD_REGISTRY_PROT is read by nobody - did you mean SWITCHYARD_REGISTRY_PORT?',
    ]);
  });

  it('are shown without secrets', () => {
    const config = load({ SWITCHYARD_REDIS_URL: 'redis://me:hunter2@r1:6379', SWITCHYARD_REDIS_PASSWORD: 'hunter2' });

    const shown = showConfig(schema, config).map(({ env, value }) => [env, value]);

    expect(shown).toContainEqual(['SWITCHYARD_REDIS_URL', 'redis://me:[redacted]@r1:6379']);
    expect(shown).toContainEqual(['SWITCHYARD_REDIS_PASSWORD', '[redacted]']);
    expect(shown).toContainEqual(['SWITCHYARD_REGISTRY_PORT', 4721]);
  });

  it('never print a secret that does not parse', () => {
    const strict = { token: setting.string({ env: 'SWITCHYARD_DEMO_TOKEN', secret: true, maxLength: 3, doc }) };

    expect(() => loadConfig(strict, { env: { SWITCHYARD_DEMO_TOKEN: 'hunter2' }, app: 'demo' })).toThrow(
      'SWITCHYARD_DEMO_TOKEN: the value is not text of at most 3 characters',
    );
  });
});
