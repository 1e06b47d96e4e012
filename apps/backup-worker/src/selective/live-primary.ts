// Who takes writes at this moment, and is it still the same one? Looked up before work begins and again before each piece of it: a
// restore once overwrote a fresh primary elsewhere, because nobody had looked a second time.
import { ok, refuse, type BackupManifest, type Result } from '@switchyard/protocol';
import type { RedisAccess } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { createAsking } from '../scratch/asking.ts';
import { connectServer, type ServerConnection } from '../scratch/server-connection.ts';
import type { Asks } from '../compare/key-batches.ts';
import type { GroupSurvey } from '../source/group-survey.ts';

/** A primary with a connection to it. */
export interface LivePrimary extends Asks {
  /** `host:port`. */
  readonly name: string;
  readonly server: BackupManifest['server'];
  readonly connection: ServerConnection;
  /** Bytes of its history. */
  readonly offset: number;
  /** Resolves when it is the primary still, with the same history; rejects with a `PrimaryMovedError`. Asks the Sentinels once a second. */
  check(): Promise<void>;
  close(): void;
}

/** Somebody else is primary by now, or a failover is under way. */
export class PrimaryMovedError extends Error {
  override readonly name = 'PrimaryMovedError';
}

/** How to find it. */
export interface PrimarySearch {
  readonly survey: () => Promise<GroupSurvey>;
  readonly access: RedisAccess;
  readonly clock: Clock;
}

const surveyEveryMs = 1_000;
const answerDeadlineMs = 15_000;

/** The primary that most Sentinels name and that says so itself. Refuses with `no_primary`, `why` naming each node. */
export async function findPrimary(search: PrimarySearch, signal: AbortSignal): Promise<Result<LivePrimary>> {
  const { survey, access, clock } = search;
  const { nodes, problems, isInFailover } = await survey();
  const node = nodes.find(({ role, state }) => role === 'primary' && state === 'ok');
  if (node === undefined || node.server === null || isInFailover)
    return refuse('no_primary', isInFailover ? 'A failover is under way.' : 'No node takes writes for sure.', {
      why: [...nodes.map(({ name, role, state }) => `${name}: ${role}, ${state}`), ...problems],
    });
  const { host, port, server } = node;
  const connection = await connectServer({ host, port, ...access }, { signal, deadlineMs: answerDeadlineMs });
  const found = await historyOf(connection);
  let lookedMs = clock.monotonicMs();
  const check = async (): Promise<void> => {
    const now = await historyOf(connection);
    if (now.role !== 'master' || now.replicationId !== found.replicationId)
      throw new PrimaryMovedError(`${node.name} is not the primary any more`);
    if (clock.monotonicMs() - lookedMs < surveyEveryMs) return;
    const seen = await survey();
    lookedMs = clock.monotonicMs();
    const isSame = seen.nodes.some(
      ({ name, role, state }) => name === node.name && role === 'primary' && state === 'ok',
    );
    if (!isSame || seen.isInFailover) throw new PrimaryMovedError(`${node.name} may not be the primary any more`);
  };
  return ok({
    name: node.name,
    server,
    connection,
    ask: createAsking(connection),
    offset: found.offset,
    check,
    close: () => connection.close(),
  });
}

async function historyOf(
  connection: ServerConnection,
): Promise<{ readonly role: string; readonly replicationId: string; readonly offset: number }> {
  const info = String(await connection.ask('INFO', 'replication'));
  const field = (name: string): string => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? '';
  return {
    role: field('role'),
    replicationId: field('master_replid'),
    offset: Number(field('master_repl_offset')),
  };
}
