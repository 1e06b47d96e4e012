// How is a moment made real? A throw-away server replicates from us: we serve the base, then the stream up to the moment, over the
// loopback interface. It loads while we unpack, and applies each command as a replica would, so that nothing expires by itself.
import { randomBytes } from 'node:crypto';
import { ok, refuse, RefusalError, type BackupManifest, type RestorePoint, type Result } from '@switchyard/protocol';
import { parseServer, serverText, whyNotReadable } from '@switchyard/backup';
import { serveHistory, type HistoryServer } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';
import { noServer, whyItEnded } from '../scratch/scratch-end.ts';
import { makeScratch, scratchVersion, type ScratchPlace, type ScratchServer } from '../scratch/scratch-server.ts';
import { connectServer, type ServerConnection } from '../scratch/server-connection.ts';
import { createLoad, openData, type Load, type MaterialSource } from './load.ts';
import type { Materialised, Materialiser, MaterialiseWork } from './materialise.ts';
import { createMaterialised } from './materialised.ts';
import { createRoomCheck, type RoomCheck } from './room.ts';
import { createTurns } from './turns.ts';

/** What a materialiser needs. */
export interface MaterialiserOptions {
  /** The redis-server to run. */
  readonly command: string;
  readonly scratchDirectory: string;
  readonly source: MaterialSource;
  readonly clock: Clock;
  /** Longest time until the moment is reached. */
  readonly deadlineMs: number;
  readonly room?: RoomCheck;
}

const lookEveryMs = 5;
const host = '127.0.0.1';
/** Allocator and buffers, beyond what the source said it uses. */
const memoryFactor = 1.1;
const memoryExtraBytes = 16 * 1024 * 1024;

/** The materialiser of this process. */
export function createMaterialiser(options: MaterialiserOptions): Materialiser {
  const { command, scratchDirectory, source, clock } = options;
  const room = options.room ?? createRoomCheck(scratchDirectory);
  const turns = createTurns(clock);

  const make = async (point: RestorePoint, work: MaterialiseWork, done: () => void): Promise<Result<Materialised>> => {
    const { signal } = work;
    const [base, version] = await Promise.all([source.find(point.base, point.group), versionOf(command, signal)]);
    if (!base.ok) return base;
    const { manifest } = base.value;
    const server = parseServer(version);
    const unfit = whyUnfit(point, manifest, version);
    if (server === undefined || unfit !== null) return unfit ?? refuse('not_restorable', `${version} is no server.`);
    const data = await openData(source, manifest, signal);
    if (!data.ok) return data;
    const none = await room(roomFor(manifest, data.value.usedMemoryBytes));
    if (none !== null) {
      data.value.first.destroy();
      return none;
    }
    const startedMs = clock.monotonicMs();
    const load = createLoad({ point, manifest, source, first: data.value.first, clock, ...work });
    const place = await makeScratch({ command, directory: scratchDirectory });
    let connection: ServerConnection | undefined;
    let history: HistoryServer | undefined;
    try {
      const password = randomBytes(24).toString('hex');
      history = await serveHistory({ host, history: load.history, credentials: { password } });
      load.watch(history.whenTaken(signal));
      const replicaOf = { port: history.port, password };
      const running = await place.start({ replicaOf }).catch((error: unknown) => {
        throw noServer(command, error);
      });
      connection = await connected(place, running, { clock, signal, load });
      await untilReached(connection, running, { clock, signal, load, point });
      await understood(connection, manifest);
      // From here on nobody is asked for more, neither us nor who may get our port next.
      await connection.ask('REPLICAOF', host, '0');
      await history.close();
      const tookMs = Math.round(clock.monotonicMs() - startedMs);
      return ok(createMaterialised({ point, server, place, running, connection, tookMs, onClose: done }));
    } catch (error) {
      load.end();
      connection?.close();
      await history?.close();
      await place.remove();
      // A broken connection is what is seen here of data that could not be read there.
      throw load.failure() ?? error;
    }
  };

  return async (point, work) => {
    const { background = false } = work;
    const what = `${point.group} ${point.base}${point.streamBytes === 0 ? '' : ` up to ${point.offset}`}`;
    const turn = await turns.take({ what, background, signal: work.signal });
    if (!turn.ok) return turn;
    const late = AbortSignal.timeout(options.deadlineMs);
    let made: Result<Materialised> | undefined;
    try {
      made = await make(point, { ...work, signal: AbortSignal.any([work.signal, late]) }, turn.value);
      return made;
    } catch (error) {
      work.signal.throwIfAborted();
      if (late.aborted) return refuse('timed_out', `The moment was not reached in ${options.deadlineMs} ms.`);
      if (error instanceof RefusalError) return { ok: false, error: error.refusal };
      throw error;
    } finally {
      if (made?.ok !== true) turn.value();
    }
  };
}

async function versionOf(command: string, signal: AbortSignal): Promise<string> {
  try {
    return await scratchVersion(command, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw noServer(command, error);
  }
}

function whyUnfit(point: RestorePoint, manifest: BackupManifest, version: string): Result<never> | null {
  const loader = parseServer(version);
  const unreadable = loader === undefined ? `${version} is not known` : whyNotReadable(manifest.server, loader);
  if (unreadable !== null)
    return refuse('not_restorable', `No throw-away server can read ${manifest.label}.`, {
      why: [unreadable],
      next: `Set SWITCHYARD_REDIS_SERVER to ${serverText(manifest.server)} or newer of the same kind.`,
    });
  const from = manifest.source.offset;
  if (point.streamBytes !== point.offset - from || (point.streamBytes > 0 && point.timeline === null))
    return refuse('not_restorable', `${manifest.label} ends at ${from}; ${point.offset} does not follow from it.`);
  return null;
}

function roomFor(manifest: BackupManifest, usedMemoryBytes: number | undefined): Parameters<RoomCheck>[0] {
  const rawBytes = manifest.files[0]?.rawBytes ?? 0;
  const used = Math.max(usedMemoryBytes ?? 2 * rawBytes, rawBytes);
  return { memoryBytes: Math.ceil(used * memoryFactor) + memoryExtraBytes, diskBytes: used };
}

interface Watch {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly load: Load;
}

/** Waits for the socket to be there. */
async function connected(place: ScratchPlace, running: ScratchServer, watch: Watch): Promise<ServerConnection> {
  const { clock } = watch;
  for (;;) {
    lookForTrouble(running, watch);
    try {
      // Not bound to the signal of the work: it stays for as long as the server.
      const { socketPath } = place;
      return await connectServer(
        { socketPath },
        { signal: new AbortController().signal, deadlineMs: answerDeadlineMs },
      );
    } catch {
      await clock.sleep(lookEveryMs, watch.signal);
    }
  }
}

/** A digest of many millions of keys takes minutes. */
const answerDeadlineMs = 3_600_000;

async function untilReached(
  connection: ServerConnection,
  running: ScratchServer,
  watch: Watch & { readonly point: RestorePoint },
): Promise<void> {
  const { clock, signal, load, point } = watch;
  for (;;) {
    lookForTrouble(running, watch);
    const reply = await connection.ask('INFO', 'replication').catch(() => '');
    const info = String(reply);
    const isUp = /^master_link_status:up/m.test(info);
    const reached = isUp ? Number(/^slave_repl_offset:(\d+)/m.exec(info)?.[1] ?? -1) : -1;
    load.report(reached);
    if (reached === point.offset) return;
    if (reached > point.offset) throw new Error(`the throw-away server is at ${reached}, beyond ${point.offset}`);
    await clock.sleep(lookEveryMs, signal);
  }
}

// A replica goes on after a command that it does not know, and says so nowhere but in its log and in this number.
async function understood(connection: ServerConnection, { server }: BackupManifest): Promise<void> {
  const info = String(await connection.ask('INFO', 'stats'));
  const errors = Number(/^unexpected_error_replies:(\d+)/m.exec(info)?.[1] ?? 0);
  if (errors === 0) return;
  throw new RefusalError({
    code: 'not_restorable',
    detail: `The throw-away server did not understand ${errors} of the commands.`,
    next: `Set SWITCHYARD_REDIS_SERVER to ${serverText(server)} with the same modules.`,
  });
}

function lookForTrouble(running: ScratchServer, { signal, load }: Watch): void {
  signal.throwIfAborted();
  const failure = load.failure();
  if (failure !== undefined) throw failure as Error;
  const end = running.ended();
  if (end !== undefined) throw new RefusalError(whyItEnded(end, running.output()));
}
