// Who ends a process that a test started? A guard that waits for the test process to die, however it dies.
import { spawn, type ChildProcess } from 'node:child_process';

/** A child process of a test: signals go to its pid, never to a name. */
export interface OwnedProcess {
  readonly pid: number;
  /** The last lines it wrote to stdout and stderr (at most 16 KB). */
  output(): string;
  /** Whether it has not ended yet. */
  running(): boolean;
  /** Undefined while it runs, null when a signal ended it. */
  exitCode(): number | null | undefined;
  /** Sends a signal and does not wait; nothing happens when it has ended. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it has ended; whoever waits keeps the test process alive. */
  ended(): Promise<void>;
  /** SIGTERM, then SIGKILL after `graceMs` (default 3000); resolves when it has ended. */
  end(graceMs?: number): Promise<void>;
}

/** What to start. */
export interface OwnedProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

const outputLimitBytes = 16 * 1024;

/** Starts a process that cannot outlive the test process. Throws when the command does not exist. */
export async function startOwned(options: OwnedProcessOptions): Promise<OwnedProcess> {
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // A test that forgot to stop it can still end; the guard then does what the test forgot.
  child.unref();
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${options.command} has no pid.`);

  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    unrefStream(stream);
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputLimitBytes);
    });
  }
  const guard = startGuard('kill -9 "$1"', String(pid));
  let running = true;
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running = false;
      guard.kill('SIGKILL');
      resolve();
    });
  });
  const signal = (name: NodeJS.Signals): void => {
    if (running) child.kill(name);
  };
  const ended = async (): Promise<void> => {
    if (running) child.ref();
    await exited;
  };
  return {
    pid,
    ended,
    signal,
    output: () => output,
    running: () => running,
    exitCode: () => (running ? undefined : child.exitCode),
    async end(graceMs = 3_000) {
      signal('SIGTERM');
      signal('SIGCONT');
      const timer = setTimeout(() => signal('SIGKILL'), graceMs);
      await ended();
      clearTimeout(timer);
    },
  };
}

/** Removes `directory` should the test process die without doing so. Call the result when that is not needed any more. */
export function removeAtDeath(directory: string): () => void {
  // The guards of the processes that write to it work at the same moment: a little later nobody does.
  const guard = startGuard('sleep 0.5; rm -rf "$1"', directory);
  return () => {
    guard.kill('SIGKILL');
  };
}

// An 'exit' handler would not run under Jest (it hands tests a copy of `process`) nor after SIGKILL. The end of a pipe
// always arrives. The guard has its own process group, so that Ctrl-C does not end it before it has done its work.
function startGuard(work: string, word: string): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', `read -r _; ${work}`, 'guard', word], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => undefined);
  guard.stdin?.on('error', () => undefined);
  guard.unref();
  if (guard.stdin) unrefStream(guard.stdin);
  return guard;
}

// Pipes of a child are sockets at run time; only the type does not say so.
function unrefStream(stream: object): void {
  if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
}

/** SIGKILL: as a crash or the kernel's out-of-memory killer would. */
export function kill(pid: number): void {
  process.kill(pid, 'SIGKILL');
}

/** SIGSTOP: the process keeps its sockets and answers nobody. */
export function freeze(pid: number): void {
  process.kill(pid, 'SIGSTOP');
}

/** SIGCONT: ends a freeze. */
export function resume(pid: number): void {
  process.kill(pid, 'SIGCONT');
}
