// How does a running node get the data of a moment? It replicates from us: no shell and no disk of its machine is needed. It is looked at
// once more directly before, and its content is compared before it goes on.
import { createReadStream } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { randomBytes } from 'node:crypto';
import { ok, refuse, RefusalError, type Result } from '@switchyard/protocol';
import { keyCounts, whatChanged, type RestoreNode } from '@switchyard/backup';
import { serveHistory, type HistoryServer, type ServedCredentials } from '@switchyard/replication-link';
import type { Address } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { textOf } from '../system-error.ts';
import type { Materialised, Snapshot } from './materialise.ts';
import type { NodeLook } from './node-look.ts';

/** What is done to which node. */
export interface FillOptions {
  readonly at: Address;
  /** As it was when the restore was planned. */
  readonly planned: RestoreNode;
  readonly as: 'primary' | 'replica';
  readonly moment: Materialised;
  readonly snapshot: Snapshot;
  readonly look: NodeLook;
  readonly admin: RedisNodeAdmin;
  /** Where we listen, and under which name the node reaches us. */
  readonly bindHost: string;
  readonly advertisedHost: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onFraction: (fraction: number) => void;
  /** Called when it holds the data, before it is compared. */
  readonly onLoaded: () => void;
}

/** What the node holds now. */
export interface Filled {
  readonly node: string;
  readonly as: 'primary' | 'replica';
  readonly offset: number;
  /** Name of the history at `offset`: with it a replica goes on; a primary has a new one of its own. */
  readonly replicationId: string;
  readonly keys: number;
  /** `digest` where the node allows DEBUG; the numbers of keys of each database always. */
  readonly compared: 'counts' | 'counts and digest';
  /** From REPLICAOF until it held everything. */
  readonly tookMs: number;
}

const lookEveryMs = 10;
/** It reloads within this after it was told, or something is between it and us. */
const connectDeadlineMs = 30_000;
/** A digest blocks the node while it is computed: about a second for so much. */
const digestUpTo = { keys: 200_000, bytes: 64 * 1024 * 1024 } as const;
/** A node that fetched it so often did not load it. */
const mostFetches = 3;

/** Fills the node. Refuses without having touched it when it is not what it was; otherwise says in `why` what state it was left in. */
export async function fillNode(options: FillOptions): Promise<Result<Filled>> {
  const { at, planned, as, moment, look, admin, clock, signal } = options;
  const replicationId = as === 'replica' ? moment.point.replicationId : randomBytes(20).toString('hex');
  const fetches = new Set<string>();
  const history = await serve(options, { replicationId, fetches });
  let isTouched = false;
  try {
    const changed = whatChanged(planned, await look(at));
    if (changed.length > 0)
      return refuse('refused_for_safety', `${planned.name} is not what it was when this restore was planned.`, {
        why: changed,
        next: 'Look at the node, then ask again.',
      });
    signal.throwIfAborted();
    isTouched = true;
    const startedMs = clock.monotonicMs();
    // The first makes it forget where it was: without it, a node that claims to be there already would be sent nothing.
    await admin.transaction([
      ['REPLICAOF', 'NO', 'ONE'],
      ['REPLICAOF', options.advertisedHost, history.port],
    ]);
    await untilLoaded(options, { history, fetches });
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    options.onLoaded();
    const compared = await compare(options);
    // As a replica it keeps the history; until it is told whom to follow, it must not try whoever gets our port.
    if (as === 'primary') await admin.call('REPLICAOF', 'NO', 'ONE');
    else await admin.call('REPLICAOF', '127.0.0.1', 0);
    const { total } = await moment.keys(signal);
    return ok({ node: planned.name, as, offset: moment.point.offset, replicationId, keys: total, compared, tookMs });
  } catch (error) {
    const state = isTouched ? await leave(options) : `${planned.name} was not touched`;
    if (!signal.aborted && !(error instanceof RefusalError)) throw error;
    const refusal =
      error instanceof RefusalError ? error.refusal : { code: 'cancelled' as const, detail: 'It was cancelled.' };
    return { ok: false, error: { ...refusal, why: [...(refusal.why ?? []), state] } };
  } finally {
    await history.close();
  }
}

async function serve(
  { at, moment, snapshot, admin, bindHost, signal, onFraction }: FillOptions,
  { replicationId, fetches }: { readonly replicationId: string; readonly fetches: Set<string> },
): Promise<HistoryServer> {
  const { offset } = moment.point;
  const credentials = await credentialsOf(admin);
  // A node that proves nothing is known by its address at least.
  const addresses = new Set((await lookup(at.host, { all: true })).map(({ address }) => address));
  return serveHistory({
    host: bindHost,
    history: {
      replicationId,
      offset,
      end: offset,
      rdb: () => ({ stream: createReadStream(snapshot.path), bytes: snapshot.bytes }),
    },
    ...(credentials === undefined ? { onlyFrom: (address) => addresses.has(address) } : { credentials }),
    onProgress: ({ replica, sentBytes, totalBytes }) => {
      fetches.add(replica);
      onFraction(totalBytes === 0 ? 0 : sentBytes / totalBytes);
    },
    signal,
  });
}

/** What the node will say to whomever it replicates. */
async function credentialsOf(admin: RedisNodeAdmin): Promise<ServedCredentials | undefined> {
  const [username, password] = await Promise.all(
    ['masteruser', 'masterauth'].map((name) => admin.configGet(name).catch(() => undefined)),
  );
  if (password === undefined || password === '') return undefined;
  return { password, ...(username === undefined || username === '' ? {} : { username }) };
}

async function untilLoaded(
  options: FillOptions,
  { history, fetches }: { readonly history: HistoryServer; readonly fetches: ReadonlySet<string> },
): Promise<void> {
  const { moment, admin, advertisedHost, clock, signal, planned } = options;
  let failure: unknown;
  history.whenTaken(signal).catch((error: unknown) => {
    failure ??= error;
  });
  const connectByMs = clock.monotonicMs() + connectDeadlineMs;
  for (;;) {
    signal.throwIfAborted();
    if (failure !== undefined) throw failure as Error;
    const info = await admin.info('replication').catch(() => '');
    const field = (name: string): string | undefined => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
    const [host, port] = [field('master_host'), field('master_port')];
    if (info !== '' && (host !== advertisedHost || port !== String(history.port)))
      throw new RefusalError({
        code: 'refused_for_safety',
        detail: `Somebody told ${planned.name} to follow ${host === undefined ? 'nobody' : `${host}:${port ?? ''}`} meanwhile.`,
        next: 'Find out who: a Sentinel that knows the node does so. Then ask again.',
      });
    if (field('master_link_status') === 'up' && Number(field('slave_repl_offset')) >= moment.point.offset) return;
    if (fetches.size > mostFetches)
      throw new RefusalError({
        code: 'backup_failed',
        detail: `${planned.name} fetched the data ${mostFetches} times and did not load it.`,
        next: 'See its log: too little memory or disk, or a module that is missing.',
      });
    if (history.replicas().length === 0 && clock.monotonicMs() > connectByMs)
      throw new RefusalError({
        code: 'timed_out',
        detail: `${planned.name} did not come to fetch the data at ${advertisedHost}:${history.port}.`,
        why: [`its link is ${field('master_link_status') ?? 'unknown'}`],
        next: 'Set SWITCHYARD_ADVERTISE_HOST to an address of the backup-worker that the node reaches; see the log of the node.',
      });
    await clock.sleep(lookEveryMs, signal);
  }
}

async function compare({ moment, snapshot, admin, planned, signal }: FillOptions): Promise<Filled['compared']> {
  const expected = await moment.keys(signal);
  const found = keyCounts(await admin.info('keyspace'));
  const why: string[] = [];
  for (const database of new Set([...Object.keys(expected.perDatabase), ...Object.keys(found.perDatabase)])) {
    const [wanted, there] = [expected.perDatabase[database] ?? 0, found.perDatabase[database] ?? 0];
    if (wanted !== there) why.push(`database ${database} holds ${there} keys instead of ${wanted}`);
  }
  let compared: Filled['compared'] = 'counts';
  if (why.length === 0 && expected.total <= digestUpTo.keys && snapshot.bytes <= digestUpTo.bytes) {
    const digest = await admin.call('DEBUG', 'DIGEST').then(String, () => undefined);
    if (digest !== undefined) {
      const wanted = String(await moment.ask(['DEBUG', 'DIGEST'], { signal, deadlineMs: 600_000 }));
      if (digest === wanted) compared = 'counts and digest';
      else why.push(`its digest is ${digest} instead of ${wanted}`);
    }
  }
  if (why.length === 0) return compared;
  throw new RefusalError({
    code: 'backup_failed',
    detail: `${planned.name} does not hold what it was given.`,
    why,
    next: 'See its log; start it with the settings of the group (databases, modules), then ask again.',
  });
}

/** After a failure: what was there before is gone, and it must follow nobody by chance. */
async function leave({ admin, as, planned }: FillOptions): Promise<string> {
  const left = `${planned.name} lost what it held before and is not complete`;
  try {
    if (as === 'primary') await admin.call('REPLICAOF', 'NO', 'ONE');
    else await admin.call('REPLICAOF', '127.0.0.1', 0);
    return `${left}; it follows nobody`;
  } catch (error) {
    return `${left}; it could not be told to follow nobody: ${textOf(error)}`;
  }
}
