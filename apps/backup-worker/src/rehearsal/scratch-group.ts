// On what is a rollback rehearsed? A group of its own with the present data: a primary, a replica and a Sentinel on free ports of the
// loopback interface, behind one-time passwords, ended by their process ids whatever happens, also when this process is killed.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { RedisSettings } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { endWithUs } from '../scratch/scratch-server.ts';
import { connectServer, type ServerAddress } from '../scratch/server-connection.ts';

/** A running group that nobody else knows. */
export interface ScratchGroup {
  /** A directory of its own, which goes with it. */
  readonly home: string;
  /** As for a group that lives: one Sentinel, its name, the passwords. */
  readonly settings: Extract<RedisSettings, { kind: 'sentinel' }>;
  /** Node 0 was the first primary. */
  readonly nodes: readonly Extract<ServerAddress, { host: string }>[];
  /** Ends everything and removes all files; may be called again. Never rejects. */
  close(): Promise<void>;
}

/** What it is made of. */
export interface ScratchGroupOptions {
  /** What its Sentinel calls it. */
  readonly group: string;
  /** The redis-server to run. */
  readonly command: string;
  readonly directory: string;
  /** A data set (RDB) in `directory` or elsewhere; it is left as it is. */
  readonly dataPath: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Until everybody is in step; loading takes as long as the data are large. */
  readonly deadlineMs: number;
}

const host = '127.0.0.1';
/** Removed with the leftovers of other throw-away servers. */
const directoryPrefix = 'switchyard-scratch-group-';
const lookEveryMs = 20;
const databases = 4_096;
const mostPortAttempts = 5;
const outputLimitChars = 4_096;

interface Member {
  readonly address: Extract<ServerAddress, { host: string }>;
  end(): Promise<void>;
}

/** Starts the group; resolves when the replica is in step and the Sentinel knows it. Leaves nothing behind when it rejects. */
export async function startScratchGroup(options: ScratchGroupOptions): Promise<ScratchGroup> {
  const { group, directory, dataPath, clock, deadlineMs } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const home = await mkdtemp(join(directory, directoryPrefix));
  const members: Member[] = [];
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.end()));
    await rm(home, { recursive: true, force: true }).catch(() => undefined);
  };
  try {
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(deadlineMs)]);
    const password = randomBytes(24).toString('hex');
    const start = async (name: string, settings: readonly string[]): Promise<Member['address']> => {
      const member = await startMember({ ...options, signal, home, name, settings, password });
      members.push(member);
      return member.address;
    };
    await mkdir(join(home, 'primary'));
    await placeData(dataPath, join(home, 'primary', 'dump.rdb'));
    const primary = await start('primary', nodeSettings(password));
    const replica = await start('replica', [...nodeSettings(password), `replicaof ${host} ${primary.port}`]);
    const watch = { clock, signal };
    await until(replica, ['INFO', 'replication'], (reply) => /^master_link_status:up/m.test(reply), watch);
    const sentinel = await start('sentinel', [
      `sentinel monitor ${group} ${host} ${primary.port} 1`,
      `sentinel auth-pass ${group} ${password}`,
      // It is to let the primary load for as long as it takes, unless the rollback forgets to say so: that is a part of the rehearsal.
      `sentinel down-after-milliseconds ${group} 5000`,
      `sentinel failover-timeout ${group} 15000`,
    ]);
    await until(sentinel, ['SENTINEL', 'MASTER', group], (reply) => /num-slaves,1(?:,|$)/.test(reply), watch);
    const settings = {
      kind: 'sentinel',
      group,
      sentinels: [{ host, port: sentinel.port }],
      password,
      sentinelPassword: password,
    } as const;
    return { home, settings, nodes: [primary, replica], close: () => (closing ??= close()) };
  } catch (error) {
    await close();
    throw error;
  }
}

function nodeSettings(password: string): readonly string[] {
  return [
    `masterauth ${password}`,
    `databases ${databases}`,
    'save ""',
    'appendonly no',
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    'enable-debug-command local',
  ];
}

async function placeData(from: string, to: string): Promise<void> {
  // The file is only read: a second name is enough where both are on one disk.
  await link(from, to).catch(() => copyFile(from, to));
}

interface MemberPlan extends ScratchGroupOptions {
  readonly home: string;
  readonly name: string;
  readonly settings: readonly string[];
  readonly password: string;
}

async function startMember(plan: MemberPlan): Promise<Member> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryMember(plan, await freePort());
    } catch (error) {
      plan.signal.throwIfAborted();
      // Between the look and the start somebody else may have taken the port.
      const isTaken = error instanceof Error && /address already in use/i.test(error.message);
      if (!isTaken || attempt === mostPortAttempts) throw error;
    }
  }
}

async function tryMember(plan: MemberPlan, port: number): Promise<Member> {
  const { command, home, name, settings, password, clock, signal } = plan;
  const place = join(home, name);
  await mkdir(place, { recursive: true, mode: 0o700 });
  const file = join(place, `${name}.conf`);
  const own = [`bind ${host}`, `port ${port}`, `dir "${place}"`, `requirepass ${password}`, 'loglevel warning'];
  await writeFile(file, `${[...own, ...settings].join('\n')}\n`, { mode: 0o600 });
  const words = name === 'sentinel' ? [file, '--sentinel'] : [file];
  const child = spawn(command, words, { cwd: place, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  endWithUs(child, [home]);
  const output = outputOf(child);
  const address = { host, port, password };
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    const isMine = (reply: string): boolean => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the ${name} ended: ${output()}`);
      return reply.includes(`process_id:${child.pid}\r\n`) && !/^loading:1/m.test(reply);
    };
    await until(address, ['INFO'], isMine, { clock, signal });
    return { address, end };
  } catch (error) {
    await end();
    throw error;
  }
}

function outputOf(child: ChildProcess): () => string {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputLimitChars);
    });
  return () => output;
}

/** Asks until the answer is as wished. A list is given as its elements with commas between them; no answer at all as empty. */
async function until(
  address: ServerAddress,
  command: readonly string[],
  isWished: (reply: string) => boolean,
  watch: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    const reply = await answerOf(address, command, watch.signal);
    if (isWished(reply)) return;
    await watch.clock.sleep(lookEveryMs, watch.signal);
  }
}

async function answerOf(address: ServerAddress, command: readonly string[], signal: AbortSignal): Promise<string> {
  try {
    const connection = await connectServer(address, { signal, deadlineMs: 5_000 });
    try {
      return String(await connection.ask(...command));
    } finally {
      connection.close();
    }
  } catch {
    signal.throwIfAborted();
    return '';
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
