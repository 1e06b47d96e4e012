import { execFileSync } from 'node:child_process';
import { constants, mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AccessEntry } from '@switchyard/proxy';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import { z } from 'zod';
import { accessLine } from './access-line.ts';
import { accessLogOf, createAccessLog, type AccessLogOptions, type AccessLogWriter } from './access-log.ts';
import { pathDestination, type LogDestination } from './log-destination.ts';

let dir: string;
let told: { readonly msg: string; readonly dropped?: number }[];
const started: AccessLogWriter[] = [];
const logger = createLogger('dispatcher-test', {
  level: 'info',
  destination: { write: (line) => told.push(JSON.parse(line) as { msg: string }) },
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'switchyard-access-'));
  told = [];
});
afterEach(async () => {
  for (const log of started.splice(0)) await log.stop?.();
  await rm(dir, { recursive: true });
});

const entry: AccessEntry = {
  requestId: 'r-1',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  listener: 'traffic',
  client: '127.0.0.1',
  method: 'GET',
  host: 'shop.test',
  target: '/cart?token=secret',
  protocol: 'HTTP/1.1',
  userAgent: 'curl/8',
  route: 'default',
  service: 'shop',
  instance: 'a',
  end: 'answered',
  status: 200,
  code: undefined,
  requestBytes: 0,
  answerBytes: 120,
  attempts: [],
  startedUnixMs: 1_800_000_000_000,
  firstByteMs: 1.23456,
  tookMs: 2,
};

async function logTo(destination: LogDestination, more: Partial<AccessLogOptions> = {}): Promise<AccessLogWriter> {
  const common = { samplePercent: 100, query: true, random: () => 0.5, clock: systemClock, logger };
  const log = createAccessLog({ destination, ...common, ...more });
  await log.start?.(new AbortController().signal);
  started.push(log);
  return log;
}
const linesOf = (text: string): AccessEntry[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AccessEntry);
const events = (): string[] => told.map(({ msg }) => msg);

describe('a line of the access log', () => {
  const schema = z.strictObject({
    time: z.iso.datetime(),
    requestId: z.string(),
    traceId: z.string().nullable(),
    listener: z.string(),
    client: z.string(),
    method: z.string(),
    host: z.string(),
    target: z.string(),
    protocol: z.enum(['HTTP/1.0', 'HTTP/1.1']),
    userAgent: z.string().nullable(),
    route: z.string().nullable(),
    service: z.string().nullable(),
    instance: z.string().nullable(),
    end: z.enum(['answered', 'refused', 'cut', 'left']),
    status: z.int(),
    code: z.string().nullable(),
    requestBytes: z.int(),
    answerBytes: z.int(),
    attempts: z.array(z.strictObject({ instance: z.string(), outcome: z.string(), tookMs: z.number() })),
    firstByteMs: z.number().nullable(),
    tookMs: z.number(),
  });
  const bare: AccessEntry = {
    ...entry,
    traceId: undefined,
    userAgent: undefined,
    route: undefined,
    service: undefined,
    instance: undefined,
    firstByteMs: undefined,
    code: 'no_route',
    end: 'refused',
    status: 404,
  };
  const retried = { ...entry, attempts: [{ instance: 'b', outcome: 'it refused the connection', tookMs: 0.98765 }] };

  it.each([entry, bare, retried])('has always the same keys', (one) => {
    const line = accessLine(one, { query: true });
    expect(line.endsWith('}\n') && line.indexOf('\n') === line.length - 1).toBe(true);
    expect(Object.keys(schema.parse(JSON.parse(line)))).toEqual(Object.keys(schema.shape));
  });

  it('has times in ms with three places, and every failed attempt', () => {
    expect(JSON.parse(accessLine(retried, { query: true }))).toMatchObject({
      time: '2027-01-15T08:00:00.000Z',
      firstByteMs: 1.235,
      tookMs: 2,
      attempts: [{ instance: 'b', outcome: 'it refused the connection', tookMs: 0.988 }],
    });
  });

  it('has the query unless that is turned off', () => {
    expect(JSON.parse(accessLine(entry, { query: true }))).toMatchObject({ target: '/cart?token=secret' });
    expect(accessLine(entry, { query: false })).not.toContain('secret');
    expect(JSON.parse(accessLine(entry, { query: false }))).toMatchObject({ target: '/cart' });
  });

  it('cannot be broken by what a client sends', () => {
    const line = accessLine(
      { ...entry, target: '/\n{"a":1}\r\u2028"', userAgent: '\u0000\ud800"}\n' },
      { query: true },
    );
    expect(line.match(/\n/g)).toHaveLength(1);
    expect(JSON.parse(line)).toMatchObject({ target: '/\n{"a":1}\r\u2028"' });
  });
});

describe('the access log', () => {
  it('is none unless asked for', () => {
    const context = { random: () => 0, clock: systemClock, logger };
    expect(accessLogOf({ to: 'off', samplePercent: 100, query: true }, context)).toBeUndefined();
    expect(accessLogOf({ to: 'stdout', samplePercent: 100, query: true }, context)?.wants()).toBe(true);
  });

  it('is in its file within a moment, and whole after a stop', async () => {
    const path = join(dir, 'access.log');
    const log = await logTo(pathDestination(path));
    log.record(entry);
    await eventually(async () => (await readFile(path, 'utf8')).length > 0, { timeoutMs: 1_000 });
    for (let count = 0; count < 2_000; count += 1) log.record({ ...entry, requestId: `r-${count}` });
    await log.stop?.();
    const lines = linesOf(await readFile(path, 'utf8'));
    expect(lines.map(({ requestId }) => requestId).slice(1)).toEqual(
      Array.from({ length: 2_000 }, (_, count) => `r-${count}`),
    );
    expect(log.stats()).toEqual({ written: 2_001, dropped: 0, waitingBytes: 0 });
    expect((await stat(path)).mode & 0o777).toBe(0o640);
  });

  it('leaves out what a sample leaves out, but never a failure', async () => {
    const path = join(dir, 'access.log');
    let draw = 0;
    const random = (): number => (draw = (draw + 0.25) % 1);
    const log = await logTo(pathDestination(path), { samplePercent: 30, random });
    for (let count = 0; count < 100; count += 1) log.record(entry);
    for (const end of ['refused', 'cut', 'left'] as const) log.record({ ...entry, end, status: 404 });
    log.record({ ...entry, status: 503 });
    await log.stop?.();
    const lines = linesOf(await readFile(path, 'utf8'));
    expect(lines.filter(({ end, status }) => end === 'answered' && status === 200)).toHaveLength(50);
    expect(lines).toHaveLength(54);
  });

  it('goes on in a new file when the old one was moved away', async () => {
    const path = join(dir, 'access.log');
    const log = await logTo(pathDestination(path));
    log.record({ ...entry, requestId: 'before' });
    await eventually(() => log.stats().written === 1);
    await rename(path, `${path}.1`);
    await eventually(
      async () => {
        log.record({ ...entry, requestId: 'after' });
        return (await readFile(path, 'utf8')).length > 0;
      },
      { timeoutMs: 5_000 },
    );
    await log.stop?.();
    expect(linesOf(await readFile(`${path}.1`, 'utf8'))[0]).toMatchObject({ requestId: 'before' });
    expect(linesOf(await readFile(path, 'utf8'))[0]).toMatchObject({ requestId: 'after' });
  });

  it('does not let a dispatcher start when its folder is not there, and says what to do', async () => {
    await expect(logTo(pathDestination(join(dir, 'none', 'access.log')))).rejects.toThrow(
      /access log cannot be written to .*ENOENT.*make its folder/,
    );
  });

  it('drops what a pipe does not take, holds up nobody, and goes on when the pipe is read again', async () => {
    const path = join(dir, 'pipe');
    execFileSync('mkfifo', [path]);
    const log = await logTo(pathDestination(path));
    for (let count = 0; count < 10; count += 1) log.record(entry);
    const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    await eventually(() => log.stats().written === 10);

    // nobody reads meanwhile: a write that blocked would block for ever
    const times: number[] = [];
    for (let count = 0; count < 20_000; count += 1) {
      const beganMs = performance.now();
      log.record(entry);
      times.push(performance.now() - beganMs);
      if (count % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    times.sort((one, other) => one - other);
    expect(times[Math.floor(times.length * 0.99)]).toBeLessThan(5);
    const { dropped, waitingBytes } = log.stats();
    expect(dropped).toBeGreaterThan(1_000);
    expect(waitingBytes).toBeLessThanOrEqual(1024 * 1024);
    expect(events()).toEqual(['access_log.dropping']);

    let text = '';
    const read = async (): Promise<boolean> => {
      const { bytesRead, buffer } = await reader.read().catch(() => ({ bytesRead: 0, buffer: Buffer.alloc(0) }));
      text += buffer.toString('latin1', 0, bytesRead);
      return bytesRead > 0;
    };
    await eventually(
      async () => {
        while (await read());
        return log.stats().waitingBytes === 0;
      },
      { timeoutMs: 10_000 },
    );
    while (await read());
    expect(log.stats().written + log.stats().dropped).toBe(20_010);
    await eventually(() => events().includes('access_log.recovered'), { timeoutMs: 3_000 });
    expect(events()).toEqual(['access_log.dropping', 'access_log.recovered']);
    expect(told.at(-1)?.dropped).toBe(log.stats().dropped);
    expect(linesOf(text)).toHaveLength(log.stats().written);
    await reader.close();
  });

  it('survives a full disk: says so once, drops what is too much, and stops in time', async () => {
    const log = await logTo(pathDestination('/dev/full'), { mostWaitingBytes: 10_000 });
    for (let count = 0; count < 100; count += 1) log.record(entry);
    await eventually(() => events().includes('access_log.failed'));
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(events()).toEqual(['access_log.dropping', 'access_log.failed']);
    const beganMs = performance.now();
    await log.stop?.();
    expect(performance.now() - beganMs).toBeLessThan(2_500);
    expect(log.stats()).toMatchObject({ written: 0, dropped: 100 });
  });

  it('is not waited for by a stop when the disk hangs', async () => {
    const never = new Promise<number>(() => undefined);
    const hung: LogDestination = {
      name: 'hung',
      mostBytes: 1_000,
      open: () => Promise.resolve(),
      write: () => never,
      look: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    const log = await logTo(hung);
    log.record(entry);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const beganMs = performance.now();
    await log.stop?.();
    expect(performance.now() - beganMs).toBeLessThan(2_500);
    expect(log.stats()).toMatchObject({ written: 0, dropped: 1 });
    expect(events()).toEqual(['access_log.lost_at_stop']);
  });
});
