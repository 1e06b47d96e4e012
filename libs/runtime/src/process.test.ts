// The life of a real process: signals, exit codes, flushed logs, telemetry without a collector.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';

const here = (file: string): string => new URL(file, import.meta.url).href;
const children: ChildProcess[] = [];
/** Where the SDK registers its tracer provider. */
const otelGlobal = `globalThis[Symbol.for('opentelemetry.js.api.1')]?.trace !== undefined`;

/** Runs a service whose one part does `start`; resolves with its exit code and its log. */
const launch = (start: string, options: { readonly env?: NodeJS.ProcessEnv; readonly preload?: boolean } = {}) => {
  const code = `import { runService } from '${here('./index.ts')}';
    await runService('test', ({ logger }) => [{ name: 'part', start: async () => { const timer = setInterval(() => {}, 1000); ${start} }, stop: async () => {} }]);`;
  const child = spawn(
    process.execPath,
    [...(options.preload ? ['--import', here('./telemetry.ts')] : []), '--input-type=module', '-e', code],
    {
      env: { PATH: process.env['PATH'], ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: new URL('..', import.meta.url),
    },
  );
  children.push(child);
  let out = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const ended = once(child, 'close').then(([exitCode]) => ({
    exitCode: exitCode as number | null,
    events: eventsOf(out),
    out,
    errors,
  }));
  const started = new Promise<void>((resolve) => {
    child.stdout.on('data', () => {
      if (out.includes('service.started')) resolve();
    });
    child.once('exit', () => resolve());
  });
  return { child, started, ended };
};
const eventsOf = (out: string): string[] =>
  out
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { msg: string }).msg);

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

describe('a service process', () => {
  it('ends with 0 at SIGTERM and has written its whole log', async () => {
    const { child, started, ended } = launch('');
    await started;
    child.kill('SIGTERM');

    expect(await ended).toMatchObject({
      exitCode: 0,
      events: ['service.started', 'service.draining', 'service.stopped'],
      errors: '',
    });
  });

  it('ends with 1 at a rejection that nobody handles, with the reason in its log', async () => {
    const { ended } = launch(`setTimeout(() => void Promise.reject(new Error('left alone')), 20);`);

    const { exitCode, events, out } = await ended;

    expect([exitCode, events.at(-1)]).toEqual([1, 'service.crashed']);
    expect(out).toContain('left alone');
  });

  it('ends with 1 when it cannot start, and has written a long log completely', async () => {
    const { ended } = launch(
      `for (let n = 0; n < 2000; n += 1) logger.info({ n }, 'line'); throw new Error('cannot');`,
    );

    const { exitCode, events } = await ended;

    expect(exitCode).toBe(1);
    expect(events).toHaveLength(2001);
    expect(events.at(-1)).toBe('service.start_failed');
  });

  it('loads nothing of telemetry unless it is asked for', async () => {
    const { child, started, ended } = launch(`logger.info({ otel: ${otelGlobal} }, 'loaded');`, { preload: true });
    await started;
    child.kill('SIGTERM');

    const { exitCode, out } = await ended;

    expect(exitCode).toBe(0);
    expect(out).toContain('"otel":false');
  });

  it('runs and ends as usual with telemetry on and no collector', async () => {
    const { child, started, ended } = launch(
      `const { trace } = await import('@opentelemetry/api');
       trace.getTracer('test').startActiveSpan('work', (span) => { logger.info({ otel: ${otelGlobal}, traceId: span.spanContext().traceId }, 'span'); span.end(); });`,
      { preload: true, env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' } },
    );
    await started;
    const beganMs = performance.now();
    child.kill('SIGTERM');

    const { exitCode, out, errors } = await ended;

    expect({ exitCode, errors }).toEqual({ exitCode: 0, errors: '' });
    expect(out).toContain('"otel":true');
    expect(out).toMatch(/"traceId":"(?!0{32})[0-9a-f]{32}"/);
    expect(performance.now() - beganMs).toBeLessThan(4000);
  });
});
