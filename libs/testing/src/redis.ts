// How does a test get a real Redis of its own? A redis-server on a free port in a temporary directory.
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { freeze, removeAtDeath, resume, startOwned, type OwnedProcess } from './owned-process.ts';
import { askRedis, type RespReply } from './resp.ts';

/** How to start a node; everything is optional. */
export interface TestRedisOptions {
  /** Added to the command line, for instance `['--appendonly', 'yes']`. */
  readonly args?: readonly string[];
  /** Kept after `stop()` when given; otherwise a temporary directory that goes. */
  readonly dir?: string;
  /** A port that must be taken; otherwise a free one. */
  readonly port?: number;
  /** Start as a replica of this node. */
  readonly replicaOf?: { readonly host: string; readonly port: number };
}

/** A running redis-server or Sentinel. */
export interface TestRedis {
  readonly host: string;
  readonly port: number;
  /** Of the present process: changes with `restart()`. */
  readonly pid: number;
  /** redis://host:port */
  readonly url: string;
  readonly dir: string;
  /** Sends one command over a connection of its own; throws on an error reply or after 5 s. */
  cli(...words: readonly (string | number)[]): Promise<RespReply>;
  /** One field of INFO, for instance `info('replication', 'master_link_status')`. */
  info(section: string, field: string): Promise<string | undefined>;
  /** SIGKILL; resolves when the process has ended. Its directory stays until `stop()`. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  resume(): void;
  /** Starts it again on the same port and directory (after `kill()`, or ending it first). */
  restart(): Promise<void>;
  /** Whether the process has not ended. */
  running(): boolean;
  /** The last lines of its log. */
  output(): string;
  /** Ends it and removes its directory if it is a temporary one. May be called twice. */
  stop(): Promise<void>;
}

/** Starts a redis-server on loopback without persistence and resolves when it answers. Fails when there is none. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const replicaOf = options.replicaOf ? [`replicaof ${options.replicaOf.host} ${options.replicaOf.port}`] : [];
  return startNode({
    kind: 'redis',
    config: (port) => [
      'save ""',
      'appendonly no',
      'repl-diskless-sync-delay 0',
      'enable-debug-command local',
      `replica-announce-ip 127.0.0.1`,
      `replica-announce-port ${port}`,
      ...replicaOf,
    ],
    options,
  });
}

/** Starts a redis-server in Sentinel mode; `config` are lines of its sentinel.conf. */
export async function startSentinel(config: readonly string[], options: TestRedisOptions = {}): Promise<TestRedis> {
  return startNode({ kind: 'sentinel', config: (port) => [`sentinel announce-port ${port}`, ...config], options });
}

interface NodePlan {
  readonly kind: 'redis' | 'sentinel';
  readonly config: (port: number) => readonly string[];
  readonly options: TestRedisOptions;
}

const host = '127.0.0.1';

async function startNode(plan: NodePlan): Promise<TestRedis> {
  const { options } = plan;
  const temporary = options.dir === undefined;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'switchyard-test-redis-')));
  await mkdir(dir, { recursive: true });
  const dismiss = temporary ? removeAtDeath(dir) : (): void => undefined;
  const removeTemporary = async (): Promise<void> => {
    if (temporary) await rm(dir, { recursive: true, force: true });
    dismiss();
  };
  const configFile = join(dir, `${plan.kind}.conf`);
  // Sentinel and Redis write their configuration back to a file: it has to be a writable one of their own.
  const launch = async (port: number): Promise<OwnedProcess> => {
    const sentinel = plan.kind === 'sentinel' ? ['--sentinel'] : [];
    return startServer([configFile, ...sentinel, ...(options.args ?? [])], port);
  };

  let port = options.port ?? (await freePort(host));
  let owned: OwnedProcess | undefined;
  for (let attempt = 1; owned === undefined; attempt += 1) {
    await writeFile(
      configFile,
      `${[`port ${port}`, `bind ${host}`, `dir "${dir}"`, ...plan.config(port)].join('\n')}\n`,
    );
    try {
      owned = await launch(port);
    } catch (error) {
      const lostTheRace = error instanceof Error && error.message.includes('Address already in use');
      if (!lostTheRace || options.port !== undefined || attempt === 5) {
        await removeTemporary();
        throw error;
      }
      port = await freePort(host);
    }
  }
  return handle({ port, dir, temporary, owned, removeTemporary, launch: () => launch(port) });
}

interface Running {
  readonly port: number;
  readonly dir: string;
  readonly temporary: boolean;
  readonly owned: OwnedProcess;
  readonly launch: () => Promise<OwnedProcess>;
  readonly removeTemporary: () => Promise<void>;
}

function handle(running: Running): TestRedis {
  const { port, dir } = running;
  let owned = running.owned;
  const cli = (...words: readonly (string | number)[]): Promise<RespReply> => askRedis({ host, port }, words);
  const killNow = async (): Promise<void> => {
    owned.signal('SIGKILL');
    await owned.ended();
  };
  return {
    host,
    port,
    dir,
    url: `redis://${host}:${port}`,
    get pid() {
      return owned.pid;
    },
    cli,
    async info(section, field) {
      const text = String(await cli('INFO', section));
      return text
        .split('\r\n')
        .find((line) => line.startsWith(`${field}:`))
        ?.slice(field.length + 1);
    },
    kill: killNow,
    freeze: () => freeze(owned.pid),
    resume: () => resume(owned.pid),
    async restart() {
      await owned.end();
      owned = await running.launch();
    },
    running: () => owned.running(),
    output: () => owned.output(),
    async stop() {
      // What is about to be deleted needs no orderly save.
      await (running.temporary ? killNow() : owned.end());
      await running.removeTemporary();
    },
  };
}

async function startServer(args: readonly string[], port: number): Promise<OwnedProcess> {
  const command = process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server';
  const owned = await startOwned({ command, args }).catch((error: unknown) => {
    throw new Error(
      `${command} could not be started (${error instanceof Error ? error.message : String(error)}). ` +
        'Tests on a real Redis need redis-server >= 7 on PATH or in SWITCHYARD_REDIS_SERVER: ' +
        'run them through `npm test`, which installs it, or install it yourself (apt-get install redis-server, brew install redis).',
      { cause: error },
    );
  });
  try {
    await eventually(
      async () => {
        if (!owned.running()) return true;
        // A loading node answers -LOADING, which is thrown: it is not ready either.
        await askRedis({ host, port, timeoutMs: 1_000 }, ['PING']);
        // Another suite's node may have won the port: only the pid tells.
        const server = await askRedis({ host, port, timeoutMs: 1_000 }, ['INFO', 'server']);
        return String(server).includes(`process_id:${owned.pid}\r\n`);
      },
      { timeoutMs: 15_000, intervalMs: 15, what: `redis-server on port ${port}` },
    );
  } catch (error) {
    owned.signal('SIGKILL');
    throw error;
  }
  if (!owned.running()) throw new Error(`redis-server on port ${port} ended at once:\n${owned.output()}`);
  return owned;
}
