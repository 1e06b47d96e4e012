// How does a test run a registry? The whole of it but its own registration, on a real Redis, behind a real listener.
import { httpServer } from '@switchyard/http';
import { problemSchema } from '@switchyard/protocol';
import type { Problem } from '@switchyard/protocol';
import { createRedis } from '@switchyard/redis';
import { createHealth, createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import type { Component } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import request from 'supertest';
import type { Response } from 'supertest';
import { createRegistry } from './registry.ts';

export interface TestRegistry {
  readonly url: string;
  /** One request to it. */
  readonly api: ReturnType<typeof request.agent>;
  /** What it has logged, as event names. */
  readonly logged: readonly string[];
  stop(): Promise<void>;
}

/** Starts one and resolves when it has read the catalog (`waits: false`: at once). */
export async function startRegistry(
  port: number,
  options: { readonly waits?: boolean; readonly durability?: 'async' | 'replicated' } = {},
): Promise<TestRegistry> {
  const logged: string[] = [];
  const destination = { write: (line: string) => void logged.push((JSON.parse(line) as { msg: string }).msg) };
  const logger = createLogger('registry', { level: 'info', destination });
  const clock = systemClock;
  const health = createHealth({ clock });
  health.setPhase('RUNNING');
  const connections = createRedis(
    { kind: 'single', endpoint: { host: '127.0.0.1', port }, group: 'main' },
    { logger, name: 'test' },
  );
  const { app, upgrades, components } = createRegistry({
    connections,
    instanceId: 'registry-test',
    version: '0.0.0',
    clock,
    logger,
    metrics: createMetrics(),
    health,
    durability: options.durability ?? 'async',
  });
  const server = httpServer({ name: 'api', host: '127.0.0.1', port: 0, app, upgrades });
  const parts: readonly Component[] = [server, ...components];
  for (const part of parts) await part.start?.(new AbortController().signal);
  const { host, port: own } = server.address();
  const url = `http://${host}:${own}`;
  const api = request.agent(url);
  if (options.waits ?? true) {
    // the default route is the last thing that a fresh registry writes
    await eventually(async () => (await api.get('/v1/routes/default')).status === 200, { what: 'the registry' });
  }
  return {
    url,
    api,
    logged,
    async stop() {
      await Promise.all(parts.map((part) => part.drain?.() ?? Promise.resolve()));
      for (const part of parts.toReversed()) await part.stop?.();
      await connections.stop();
    },
  };
}

/** The problem document of an answer that must be one. */
export function problemIn(response: Response): Problem {
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  const problem = problemSchema.parse(response.body);
  expect(problem.status).toBe(response.status);
  expect(JSON.stringify(problem)).not.toMatch(/\.ts:\d|node_modules|at Object\./);
  return problem;
}
