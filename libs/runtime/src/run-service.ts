// How does a service live? Ordered start, drain on SIGTERM or SIGINT, stop in reverse with deadlines, one exit code.
//
//   INITIALIZED -> STARTING -> RUNNING -> DRAINING -> STOPPED      exit 0, or 3 when a part did not end cleanly
//                     |  \________________^                        SIGTERM during the start: drains what has started
//                     v                                            second signal: exit 2 at once
//                   FAILED                                         exit 1; also for an error that nobody caught
//
// Exit codes as Caddy's (caddy/v2/sigtrap.go): 0 ok, 1 failed start, 2 forced, 3 unclean stop.
import type { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import type { Component } from './component.ts';
import { ConfigError } from './config.ts';
import { StartError, startAll, stopAll } from './lifecycle.ts';
import type { Health } from './health.ts';
import { createHealth } from './health.ts';
import type { Logger } from './logger.ts';
import { createLogger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { createMetrics } from './metrics.ts';
import { telemetryHandle } from './telemetry-handle.ts';

/** What the composition root of a service is given. */
export interface ServiceContext {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly version: string;
  /** SWITCHYARD_INSTANCE_ID, or the service's name with six random characters of 0-9a-z. */
  readonly instanceId: string;
}

/** Makes the parts in the order of their start. */
export type BuildService = (context: ServiceContext) => readonly Component[] | Promise<readonly Component[]>;

/** The part of `process` that a service needs; tests give their own. */
export interface ServiceProcess extends Pick<EventEmitter, 'on' | 'removeListener'> {
  readonly env: NodeJS.ProcessEnv;
  exit(code: number): void;
}

/** What tests replace. */
export interface RunServiceOptions {
  readonly process?: ServiceProcess;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly random?: () => number;
}

const exitCodes = { ok: 0, failed: 1, forced: 2, unclean: 3 } as const;
/** Docker sends SIGKILL 10 s after SIGTERM: everything must be over before. */
const defaultGraceMs = 9_000;
/** A start that ignores its signal is left behind after this. */
const abortedStartMs = 3_000;

/**
 * Runs a service until SIGTERM or SIGINT, then exits the process. Never rejects. SWITCHYARD_SHUTDOWN_DELAY_MS (0) is the time
 * between "not ready" and the end of the listeners; SWITCHYARD_SHUTDOWN_GRACE_MS (9000) bounds the whole stop.
 */
export const runService = async (name: string, build: BuildService, options: RunServiceOptions = {}): Promise<void> => {
  const host = options.process ?? process;
  const clock = options.clock ?? systemClock;
  const instanceId = readInstanceId(name, host.env, options.random ?? Math.random);
  const version = host.env['SWITCHYARD_VERSION'] ?? packageVersion();
  const logger = options.logger ?? createLogger(name, { env: host.env, fields: { instanceId } });
  const health = createHealth({ clock, logger });
  const metrics = createMetrics({ processMetrics: true });
  metrics
    .gauge('build_info', 'Always 1; what runs here', ['service', 'version', 'node'])
    .set({ service: name, version, node: process.versions.node }, 1);

  const signals = listenForSignals(host, logger, (code) => host.exit(code));
  const leave = async (code: number): Promise<void> => {
    await flushTelemetry(logger);
    signals.dispose();
    host.exit(code);
  };

  const startedMs = clock.monotonicMs();
  const started: Component[] = [];
  let clean = true;
  const stopStarted = async (): Promise<void> => {
    const graceMs = numberFrom(host.env['SWITCHYARD_SHUTDOWN_GRACE_MS'], defaultGraceMs);
    clean = (await stopAll(started, { clock, logger, graceMs })) && clean;
  };

  try {
    health.setPhase('STARTING');
    const components = await build({ name, env: host.env, logger, clock, metrics, health, version, instanceId });
    await startAll(components, { logger, signal: signals.stop, started, abortedStartMs });
  } catch (error) {
    if (!signals.stop.aborted) {
      health.setPhase('FAILED');
      logger.fatal(startFailure(error), 'service.start_failed');
      await stopStarted();
      await leave(exitCodes.failed);
      return;
    }
  }

  if (!signals.stop.aborted) {
    health.setPhase('RUNNING');
    logger.info({ version, startMs: Math.round(clock.monotonicMs() - startedMs) }, 'service.started');
    await aborted(signals.stop);
  }

  health.setPhase('DRAINING');
  logger.info({ why: (signals.stop.reason as Error).message }, 'service.draining');
  await clock.sleep(numberFrom(host.env['SWITCHYARD_SHUTDOWN_DELAY_MS'], 0));
  await stopStarted();
  health.setPhase('STOPPED');
  logger.info({ clean }, 'service.stopped');
  await leave(clean ? exitCodes.ok : exitCodes.unclean);
};

const listenForSignals = (host: ServiceProcess, logger: Logger, exit: (code: number) => void) => {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!stop.signal.aborted) {
      stop.abort(new Error(`received ${signal}`));
      return;
    }
    logger.warn({ signal }, 'service.forced');
    exit(exitCodes.forced);
  };
  // An error that nobody caught leaves unknown state behind: end, the supervisor starts a clean process.
  const onDefect = (error: Error): void => {
    logger.fatal({ err: error }, 'service.crashed');
    exit(exitCodes.failed);
  };
  const events = ['SIGTERM', 'SIGINT'] as const;
  const defects = ['uncaughtException', 'unhandledRejection'] as const;
  for (const event of events) host.on(event, onSignal);
  for (const event of defects) host.on(event, onDefect);
  return {
    stop: stop.signal,
    dispose: () => {
      for (const event of events) host.removeListener(event, onSignal);
      for (const event of defects) host.removeListener(event, onDefect);
    },
  };
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** A mistake in the settings, or in what they name, is the operator's: all problems, no stack. */
const startFailure = (error: unknown): object => {
  const cause = error instanceof StartError ? error.cause : error;
  return cause instanceof ConfigError ? { problems: cause.problems } : { err: error };
};

const flushTelemetry = async (logger: Logger): Promise<void> => {
  try {
    await telemetryHandle.shutdown?.();
  } catch (error) {
    logger.debug({ err: error }, 'telemetry.flush_failed');
  }
};

const readInstanceId = (name: string, env: NodeJS.ProcessEnv, random: () => number): string => {
  const given = env['SWITCHYARD_INSTANCE_ID'];
  if (given !== undefined && given !== '') return given;
  const letters = Array.from({ length: 6 }, () => Math.floor(random() * 36).toString(36));
  return `${name}-${letters.join('')}`;
};

const numberFrom = (text: string | undefined, fallback: number): number => {
  const value = Number(text);
  return text === undefined || text === '' || !Number.isFinite(value) || value < 0 ? fallback : value;
};

const packageVersion = (): string => {
  try {
    const found: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    return (found as { readonly version: string }).version;
  } catch {
    // A bundle has no package.json beside it.
    return '0.0.0';
  }
};
