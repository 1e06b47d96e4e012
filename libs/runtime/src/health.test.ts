import { describe, expect, it } from '@jest/globals';
import { systemClock } from './clock.ts';
import { createHealth } from './health.ts';
import { createLogger } from './logger.ts';

describe('health', () => {
  it('is ready only while the service runs and every critical check is ok', () => {
    const health = createHealth({ clock: systemClock });
    health.set('redis', { ok: true });
    const before = health.report();
    health.setPhase('RUNNING');
    const running = health.report();
    health.set('redis', { ok: false, detail: 'no primary' });
    health.set('feed', { ok: false, critical: false });
    const without = health.report();
    health.remove('redis');

    expect([before.ready, before.why]).toEqual([false, ['the service is INITIALIZED']]);
    expect([running.ready, running.why]).toEqual([true, []]);
    expect([without.ready, without.why]).toEqual([false, ['redis: no primary']]);
    expect(health.report().ready).toBe(true);
  });

  it('remembers since when a check is as it is', () => {
    let unixMs = 1000;
    const health = createHealth({ clock: { ...systemClock, unixMs: () => unixMs } });
    health.set('redis', { ok: false, detail: 'connecting' });
    unixMs = 2000;
    health.set('redis', { ok: false, detail: 'still connecting' });
    const failing = health.report().checks['redis'];
    unixMs = 3000;
    health.set('redis', { ok: true });

    expect(failing).toEqual({ ok: false, detail: 'still connecting', sinceUnixMs: 1000 });
    expect(health.report().checks['redis']).toEqual({ ok: true, sinceUnixMs: 3000 });
  });

  it('logs changes only', () => {
    const lines: { msg: string }[] = [];
    const logger = createLogger('x', { level: 'info', destination: { write: (line) => lines.push(JSON.parse(line)) } });
    const health = createHealth({ clock: systemClock, logger });

    for (const ok of [true, true, false, false, true, true]) health.set('redis', { ok });

    expect(lines.map((line) => line.msg)).toEqual(['health.failed', 'health.recovered']);
  });

  it('refuses names without end', () => {
    const health = createHealth({ clock: systemClock });

    expect(() => {
      for (let n = 0; n < 1000; n += 1) health.set(`instance-${String(n)}`, { ok: true });
    }).toThrow('more than 64 health checks; "instance-64" is refused');
  });
});
