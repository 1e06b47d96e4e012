// How does a scenario get a yard of its own? `npm start`'s own entry, in a folder and on ports that nobody else uses.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@switchyard/testing';

const root = join(import.meta.dirname, '..', '..', '..');
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 40_000;

interface ProcessRecord {
  readonly name: string;
  readonly role: string;
  readonly pid: number;
}

/** A running yard, seen from outside. */
export interface Yard {
  readonly home: string;
  readonly traffic: string;
  readonly control: string;
  readonly ports: Readonly<Record<string, number>>;
  /** what it printed until it was ready */
  readonly screen: string;
  readonly startMs: number;
  /** its processes as it recorded them, by name */
  processes(): ProcessRecord[];
  pidOf(name: string): number;
  /** sends a signal to one process, by pid */
  signal(name: string, signal: NodeJS.Signals): number;
  /** ends it as Ctrl-C does; returns the exit code */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** removes its folder */
  remove(): Promise<void>;
}

const running = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // a zombie has ended; only its parent has not looked yet
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

/** True while any of these processes runs. */
export const anyRunning = (pids: readonly number[]): boolean => pids.some(running);

/** Ports far from the defaults, so that a yard of the developer is left alone, and another suite too. */
const randomOffset = (): number => 1_000 + 100 * Math.floor(Math.random() * 250);

/** Starts a yard and waits until it is ready. `home` continues an earlier one. */
export async function startYard(
  options: { readonly home?: string; readonly args?: readonly string[] } = {},
): Promise<Yard> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'switchyard-e2e-')));
  const env = { ...process.env, SWITCHYARD_HOME: home, SWITCHYARD_PORT_OFFSET: String(randomOffset()) };
  for (const name of ['NODE_OPTIONS', 'SWITCHYARD_REDIS_URL', 'SWITCHYARD_REDIS_SENTINELS']) delete env[name as never];
  const startedMs = performance.now();
  const child: ChildProcess = spawn(process.execPath, ['tools/dev/up.mjs', ...(options.args ?? [])], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let screen = '';
  let notes = '';
  child.stdout?.on('data', (data: Buffer) => (screen += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (notes += data.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  process.once('exit', () => child.kill('SIGKILL'));

  await eventually(
    () => {
      if (child.exitCode !== null) throw new Error(`the yard ended with ${child.exitCode}:\n${screen}\n${notes}`);
      if (!/is up after/.test(screen)) throw new Error(`the yard is not ready:\n${screen}\n${notes}`);
    },
    { timeoutMs: START_DEADLINE_MS, intervalMs: 50 },
  ).catch(async (error: unknown) => {
    child.kill('SIGTERM');
    await exited;
    throw error;
  });
  const startMs = performance.now() - startedMs;
  // an ephemeral yard has a folder of its own, which it names
  const used = /^\s*data\s+(\/[^\s,]+)/m.exec(screen)?.[1] ?? home;
  const facts = JSON.parse(readFileSync(join(used, 'run', 'yard.json'), 'utf8')) as {
    traffic: string;
    control: string;
    ports: Record<string, number>;
  };
  const processes = (): ProcessRecord[] =>
    readdirSync(join(used, 'run'))
      .filter((file) => file.endsWith('.json') && file !== 'yard.json')
      .map((file) => JSON.parse(readFileSync(join(used, 'run', file), 'utf8')) as ProcessRecord);
  const pidOf = (name: string): number => {
    const found = processes().find((one) => one.name === name);
    if (!found) throw new Error(`the yard has no process named ${name}`);
    return found.pid;
  };
  return {
    home: used,
    ...facts,
    get screen() {
      return screen;
    },
    startMs,
    processes,
    pidOf,
    signal(name, signal) {
      const pid = pidOf(name);
      process.kill(pid, signal);
      return pid;
    },
    async stop(signal = 'SIGINT') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
    async remove() {
      for (const folder of [home, used]) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
