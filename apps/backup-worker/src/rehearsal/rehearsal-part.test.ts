import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApi, httpServer } from '@switchyard/http';
import { ok, refuse, type RestorePoint } from '@switchyard/protocol';
import { createHealth, createMetrics, systemClock } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import type { Archive } from '../archive/archive.ts';
import { createOperationRunner } from '../operations/operation-runner.ts';
import { createOperations } from '../operations/operations.ts';
import { directoryStore } from '../repository/directory-store.ts';
import type { Materialiser } from '../restore/materialise.ts';
import { quietLogger as logger } from '../test-fixtures.ts';
import type { WorkerTools } from '../worker-part.ts';
import { rehearsalPart } from './rehearsal-part.ts';

const clock = systemClock;
const signal = new AbortController().signal;
const point: RestorePoint = {
  group: 'main',
  timeline: '20260102T030405.678Z',
  offset: 7,
  replicationId: 'a'.repeat(40),
  at: '2026-01-02T03:04:05.678Z',
  base: '20260102T030405.678Z-full',
  streamBytes: 0,
};

interface Trend {
  readonly rehearsals: readonly { readonly trigger: string; readonly problem: string; readonly at: string }[];
  readonly failedInARow: number;
  readonly nextAt: string | null;
}

/** A worker whose rehearsals fail at once: what is looked at is when they happen and what is told of them. */
async function worker(
  rehearseEveryMs: number,
  facts: { readonly isFollowing?: boolean; readonly holds?: Promise<void> } = {},
) {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-test-rehearsals-'));
  const store = directoryStore(directory);
  await store.prepare(signal);
  const operations = createOperations(join(directory, '.operations'), logger);
  const runner = createOperationRunner({ operations, clock, logger });
  const metrics = createMetrics();
  const archive = {
    locate: () => Promise.resolve(ok(point)),
    head: () => null,
    followedUntil: () => null,
    isFollowing: () => facts.isFollowing ?? true,
  } as unknown as Archive;
  const materialise: Materialiser = async () => {
    await facts.holds;
    return refuse('refused_for_safety', 'There is too little room.');
  };
  const tools = {
    group: 'main',
    runner,
    scratchDirectory: directory,
    clock,
    logger,
    metrics,
  } as unknown as WorkerTools;
  const config = { redisServer: 'redis-server', proofDeadlineMs: 1_000, rehearseEveryMs };
  const part = rehearsalPart(tools, { config, archive, materialise, store, random: () => 0 });
  const health = createHealth({ clock });
  const app = createApi({ title: 'test', version: '0', routes: [...part.routes], health, metrics, logger });
  const server = httpServer({ name: 'api', host: '127.0.0.1', port: 0, app });
  await server.start?.();
  for (const component of part.components) await component.start?.(signal);
  const { port } = server.address();
  const url = `http://127.0.0.1:${port}`;
  return {
    trend: async () => (await (await fetch(`${url}/v1/rehearsals`)).json()) as Trend,
    post: (body: unknown) =>
      fetch(`${url}/v1/rehearsals`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    metrics: async () => (await fetch(`${url}/metrics`)).text(),
    end: async () => {
      for (const component of part.components) await component.stop?.();
      await runner.stop?.();
      await server.stop?.();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

describe('rehearsalPart', () => {
  it('rehearses by itself when one is due, and again soon when it has failed', async () => {
    const at = await worker(24 * 400);
    try {
      const trend = await eventually(
        async () => {
          const seen = await at.trend();
          return seen.rehearsals.length >= 2 && seen;
        },
        { timeoutMs: 20_000, what: 'two rehearsals' },
      );
      expect(trend.rehearsals[0]).toMatchObject({ trigger: 'schedule', problem: 'There is too little room.' });
      expect(trend.failedInARow).toBeGreaterThanOrEqual(2);
      expect(Date.parse(trend.nextAt ?? '')).toBeGreaterThan(Date.parse(trend.rehearsals[0]?.at ?? ''));
      const metrics = await at.metrics();
      expect(metrics).toMatch(/^switchyard_backup_rehearsals_total\{group="main",outcome="failed"\} [2-9]/m);
      expect(metrics).toMatch(/^switchyard_backup_rehearsal_last_success_timestamp_seconds\{group="main"\} 0/m);
    } finally {
      await at.end();
    }
  });

  it('rehearses on request only where that is wished, for its own group, and one at a time', async () => {
    let release = (): void => undefined;
    const holds = new Promise<void>((resolve) => {
      release = resolve;
    });
    const at = await worker(0, { holds });
    try {
      expect((await at.trend()).nextAt).toBeNull();
      expect((await at.post({ group: 'other' })).status).toBe(404);
      expect((await at.post({ to: { time: 'now', offset: 5 } })).status).toBe(400);
      const begun = await at.post({ to: { time: 'now' } });
      expect([begun.status, begun.headers.get('location')]).toEqual([
        202,
        expect.stringMatching(/^\/v1\/operations\/op-/),
      ]);
      expect((await at.post({})).status).toBe(409);
      release();
      await eventually(async () => expect((await at.trend()).rehearsals).toHaveLength(1), { timeoutMs: 10_000 });
      expect((await at.trend()).rehearsals[0]).toMatchObject({ trigger: 'request' });
      await eventually(async () => expect((await at.post({})).status).toBe(202), { timeoutMs: 10_000 });
    } finally {
      release();
      await at.end();
    }
  });

  it('leaves it to the worker that writes the archive', async () => {
    const at = await worker(24, { isFollowing: false });
    try {
      // Long due, and looked at several times.
      await new Promise((resolve) => setTimeout(resolve, 800));
      expect((await at.trend()).rehearsals).toEqual([]);
    } finally {
      await at.end();
    }
  });
});
