// How is `onActivate` carried out? A webhook with bounded retries, or a program that this monitor's settings allow: the API has no
// authentication, so what is written there must not be able to run just anything here.
import { spawn } from 'node:child_process';
import { parseDurationMs } from '@switchyard/protocol';
import type { ActivationHook, OnActivate } from '@switchyard/protocol';
import { backoff } from '@switchyard/runtime';
import type { Clock, Logger } from '@switchyard/runtime';

/** What a hook is told. `instance` null: nobody is there, and one has to be started. */
export interface HookNews {
  readonly service: string;
  readonly instance: { readonly id: string; readonly url: string } | null;
  readonly fencingToken: number | null;
  readonly previous: { readonly id: string; readonly fencingToken: number | null } | null;
  readonly reason: string;
}

export interface ActivationHooks {
  /** What will come of it: `refused` with the reason when it is not allowed, or too many run already. */
  plan(hook: OnActivate): ActivationHook;
  /** Carries out what was planned, beside everything else. Its outcome is logged. */
  run(hook: OnActivate, planned: ActivationHook, news: HookNews): void;
  /** Ends those under way. */
  stop(): void;
}

const MAX_RUNNING = 16;
const WEBHOOK_ATTEMPTS = 4;
const LONGEST_STDERR = 1_024;

/** Hooks that may run the programs in `allowExec`: absolute paths, none unless given. */
export function createActivationHooks(options: {
  readonly allowExec: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}): ActivationHooks {
  const { allowExec, clock, logger } = options;
  const stopped = new AbortController();
  let running = 0;

  return {
    plan(hook) {
      const isExec = 'exec' in hook;
      const kind = isExec ? 'exec' : 'webhook';
      const refused = (detail: string): ActivationHook => ({ kind, state: 'refused', detail });
      if (isExec && !allowExec.includes(hook.exec.command[0] ?? '')) {
        return refused(`SWITCHYARD_MONITOR_ALLOW_EXEC of this monitor does not name ${hook.exec.command[0]}`);
      }
      if (running >= MAX_RUNNING) return refused(`${MAX_RUNNING} hooks are under way already`);
      const target = isExec ? hook.exec.command[0] : `POST ${new URL(hook.webhook.url).origin}`;
      return { kind, state: 'started', detail: target ?? '' };
    },
    run(hook, planned, news) {
      const fields = { service: news.service, instance: news.instance?.id ?? null, ...planned };
      if (planned.state === 'refused') {
        logger.warn(fields, 'activation_hook.refused');
        return;
      }
      // the same take-over has the same key, whoever tells of it and however often
      const key = `${news.service}-${news.fencingToken ?? news.previous?.fencingToken ?? 0}-${news.instance?.id ?? 'none'}`;
      running += 1;
      const done =
        'exec' in hook
          ? execute(hook.exec, { news, key, signal: stopped.signal })
          : notify(hook.webhook, { news, key, signal: stopped.signal, clock });
      done
        .then(
          (outcome) => logger.info({ ...fields, outcome }, 'activation_hook.done'),
          (error: unknown) => logger.warn({ ...fields, err: error }, 'activation_hook.failed'),
        )
        .finally(() => (running -= 1));
    },
    stop: () => stopped.abort(new Error('the monitor stops')),
  };
}

type Exec = Extract<OnActivate, { exec: unknown }>['exec'];
type Webhook = Extract<OnActivate, { webhook: unknown }>['webhook'];
interface Call {
  readonly news: HookNews;
  readonly key: string;
  readonly signal: AbortSignal;
}

/** Runs the program once, without a shell and with none of the monitor's own settings; the news are JSON on its standard input. */
function execute({ command, timeout }: Exec, { news, key, signal }: Call): Promise<string> {
  const [program = '', ...args] = command;
  const timeoutMs = parseDurationMs(timeout) ?? 30_000;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      shell: false,
      signal,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'ignore', 'pipe'],
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        SWITCHYARD_SERVICE: news.service,
        SWITCHYARD_INSTANCE: news.instance?.id ?? '',
        SWITCHYARD_INSTANCE_URL: news.instance?.url ?? '',
        SWITCHYARD_FENCING_TOKEN: String(news.fencingToken ?? ''),
        SWITCHYARD_PREVIOUS: news.previous?.id ?? '',
        SWITCHYARD_REASON: news.reason.slice(0, 1_024).replaceAll('\0', ''),
        SWITCHYARD_IDEMPOTENCY_KEY: key,
      },
    });
    let stderr = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stderr?.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-LONGEST_STDERR)));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('exit', (code, killedBy) => {
      clearTimeout(timer);
      if (code === 0) resolve('it exited with 0');
      else {
        const how = late ? `it was killed after ${timeoutMs} ms` : `it ended with ${code ?? killedBy}`;
        reject(new Error(stderr ? `${how}: ${stderr.trim()}` : how));
      }
    });
    // one that does not read its input is none the worse for it
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(JSON.stringify(news));
  });
}

/** Posts the news until it is taken, refused for good, or given up. */
async function notify(
  webhook: Webhook,
  { news, key, signal, clock }: Call & { readonly clock: Clock },
): Promise<string> {
  const timeoutMs = parseDurationMs(webhook.timeout) ?? 5_000;
  const pause = backoff({ baseMs: 250, maxMs: 4_000, random: Math.random });
  for (let attempt = 1; ; attempt += 1) {
    const fault = await post(webhook, { news, key, signal, timeoutMs });
    signal.throwIfAborted();
    if (fault === undefined) return `it was taken at attempt ${attempt}`;
    if (fault.final || attempt >= WEBHOOK_ATTEMPTS) throw new Error(`after ${attempt} attempts: ${fault.detail}`);
    await clock.sleep(pause.next(), signal);
  }
}

async function post(
  webhook: Webhook,
  { news, key, signal, timeoutMs }: Call & { readonly timeoutMs: number },
): Promise<{ readonly final: boolean; readonly detail: string } | undefined> {
  try {
    const response = await fetch(webhook.url, {
      method: 'POST',
      redirect: 'error',
      headers: { ...webhook.headers, 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(news),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    await response.body?.cancel();
    if (response.ok) return undefined;
    const { status } = response;
    const isPassing = status >= 500 || status === 408 || status === 425 || status === 429;
    return { final: !isPassing, detail: `it answered ${status}` };
  } catch (error) {
    const { cause, message } = error as { readonly cause?: { readonly message?: string }; readonly message?: string };
    return { final: false, detail: cause?.message ?? message ?? String(error) };
  }
}
