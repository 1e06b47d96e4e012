import { EventEmitter } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import type { Component } from './component.ts';
import { createLogger } from './logger.ts';
import type { BuildService, ServiceContext } from './run-service.ts';
import { runService } from './run-service.ts';
import { loadConfig } from './config.ts';
import { setting } from './setting.ts';

/** A process that records how it ends. */
const fakeProcess = (env: NodeJS.ProcessEnv = {}) => {
  const exits: number[] = [];
  const host = Object.assign(new EventEmitter(), { env, exit: (code: number) => void exits.push(code) });
  return { host, exits };
};

const run = (build: BuildService, env: NodeJS.ProcessEnv = {}) => {
  const { host, exits } = fakeProcess(env);
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('test', {
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const ended = runService('test', build, { process: host, logger, random: () => 0 });
  return { host, exits, ended, lines, events: () => lines.map((line) => line['msg']) };
};

const part = (name: string, log: string[], more: Partial<Component> = {}): Component => ({
  name,
  start: async () => void log.push(`start ${name}`),
  stop: async () => void log.push(`stop ${name}`),
  ...more,
});
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe('a service', () => {
  it('starts its parts in order, drains all, stops them in reverse and exits with 0', async () => {
    const log: string[] = [];
    const { host, exits, ended, events } = run(() => [
      part('http', log, { drain: async () => void log.push('drain http') }),
      part('redis', log),
      part('sweep', log),
    ]);
    await turn();
    expect(log).toEqual(['start http', 'start redis', 'start sweep']);

    host.emit('SIGTERM', 'SIGTERM');
    await ended;

    expect(log.slice(3)).toEqual(['drain http', 'stop sweep', 'stop redis', 'stop http']);
    expect(exits).toEqual([0]);
    expect(events()).toEqual(['service.started', 'service.draining', 'service.stopped']);
    expect(host.eventNames()).toEqual([]);
  });

  it('gives its parts a context with an id, and is ready only between start and drain', async () => {
    let context: ServiceContext | undefined;
    const ready: boolean[] = [];
    const note = async (): Promise<void> => void ready.push(context?.health.report().ready ?? false);
    const { host, ended } = run((given) => {
      context = given;
      return [{ name: 'part', start: note, stop: note }];
    });
    await turn();
    await note();
    host.emit('SIGINT', 'SIGINT');
    await ended;

    expect(ready).toEqual([false, true, false]);
    expect(context).toMatchObject({
      name: 'test',
      instanceId: 'test-000000',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    expect(await context?.metrics.text()).toMatch(
      /switchyard_build_info\{service="test",version="[\d.]+",node="[\d.]+"\} 1/,
    );
  });

  it('takes the id that it is given', async () => {
    let id = '';
    const { host, ended } = run(
      (context) => {
        id = context.instanceId;
        return [];
      },
      { SWITCHYARD_INSTANCE_ID: 'monitor-2' },
    );
    await turn();
    host.emit('SIGTERM', 'SIGTERM');
    await ended;

    expect(id).toBe('monitor-2');
  });

  it('that cannot start says which part failed, stops what runs and exits with 1', async () => {
    const log: string[] = [];
    const { exits, ended, lines } = run(() => [
      part('http', log),
      part('redis', log, { start: () => Promise.reject(new Error('no address')) }),
      part('sweep', log),
    ]);

    await ended;

    expect(log).toEqual(['start http', 'stop http']);
    expect(exits).toEqual([1]);
    expect(lines[0]).toMatchObject({
      level: 'fatal',
      msg: 'service.start_failed',
      err: { message: expect.stringContaining('redis did not start: no address') },
    });
  });

  it('with wrong settings lists all of them without a stack', async () => {
    const wrong = setting.port({ env: 'SWITCHYARD_TEST_PORT', doc: 'x' });
    const { exits, ended, lines } = run(({ env }) => {
      loadConfig({ a: wrong, b: wrong }, { env, app: 'test' });
      return [];
    });

    await ended;

    expect(exits).toEqual([1]);
    expect(lines[0]).toMatchObject({ msg: 'service.start_failed', problems: [expect.any(String), expect.any(String)] });
    expect(lines[0]?.['err']).toBeUndefined();
  });

  it('may be ended while a part still waits in its start', async () => {
    const log: string[] = [];
    const { host, exits, ended, events } = run(() => [
      part('http', log),
      part('redis', log, {
        start: (signal) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      }),
      part('sweep', log),
    ]);
    await turn();

    host.emit('SIGTERM', 'SIGTERM');
    await ended;

    expect(log).toEqual(['start http', 'stop http']);
    expect(exits).toEqual([0]);
    expect(events()).toEqual(['service.draining', 'service.stopped']);
  });

  it('goes on stopping when a part hangs or fails, and exits with 3', async () => {
    const log: string[] = [];
    const { host, exits, ended, lines } = run(() => [
      part('http', log),
      part('hangs', log, { stop: () => new Promise(() => undefined), stopDeadlineMs: 20 }),
      part('fails', log, { stop: () => Promise.reject(new Error('broken')) }),
    ]);
    await turn();

    host.emit('SIGTERM', 'SIGTERM');
    await ended;

    expect(log.at(-1)).toBe('stop http');
    expect(exits).toEqual([3]);
    expect(lines.filter((line) => line['msg'] === 'component.unclean').map((line) => line['component'])).toEqual([
      'fails',
      'hangs',
    ]);
  });

  it('never takes longer to stop than its grace period', async () => {
    const hang = (name: string): Component => ({
      name,
      drain: () => new Promise(() => undefined),
      stop: () => new Promise(() => undefined),
    });
    const { host, exits, ended } = run(() => [hang('a'), hang('b'), hang('c')], { SWITCHYARD_SHUTDOWN_GRACE_MS: '60' });
    await turn();

    const beganMs = performance.now();
    host.emit('SIGTERM', 'SIGTERM');
    await ended;

    expect(performance.now() - beganMs).toBeLessThan(1000);
    expect(exits).toEqual([3]);
  });

  it('exits at once with 2 at the second signal', async () => {
    const { host, exits } = run(() => [
      part('hangs', [], { stop: () => new Promise(() => undefined), stopDeadlineMs: 50 }),
    ]);
    await turn();

    host.emit('SIGINT', 'SIGINT');
    host.emit('SIGINT', 'SIGINT');

    expect(exits).toEqual([2]);
  });

  it.each(['uncaughtException', 'unhandledRejection'])('exits with 1 and says why at an %s', async (event) => {
    const { host, exits, ended, lines } = run(() => []);
    await turn();

    host.emit(event, new Error('nobody caught me'));

    expect(exits).toEqual([1]);
    expect(lines.at(-1)).toMatchObject({
      level: 'fatal',
      msg: 'service.crashed',
      err: { message: 'nobody caught me' },
    });
    host.emit('SIGTERM', 'SIGTERM');
    await ended;
  });
});
