// How is a restore carried out? The moment is found and the target looked at before anything begins; then the moment is made real in a
// throw-away server, and only its proven data goes to the target.
import {
  ok,
  refuse,
  type RestorePoint,
  type RestoreRequest,
  type RestoreTarget,
  type Result,
} from '@switchyard/protocol';
import { databasesNeeded, whyNotInto, type NodeWish, type PlannedStep, type RestoreNode } from '@switchyard/backup';
import { isRedisUnavailable, RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';
import type { Address } from '@switchyard/replication';
import type { Clock } from '@switchyard/runtime';
import type { Report } from '../backups/take-backup.ts';
import type { DirectOutcome, DirectWork } from '../operations/operation-runner.ts';
import { fillNode } from './fill-node.ts';
import type { Materialised, Materialiser } from './materialise.ts';
import type { NodeLook } from './node-look.ts';
import { cannotWrite, openRestoreDirectory } from './restore-directory.ts';

/** Steps of a restore into a directory; its indices are `directorySteps`. */
const directoryPlan: readonly PlannedStep[] = Object.freeze([
  { name: 'load base and stream', weight: 50 },
  { name: 'count and digest', weight: 25 },
  { name: 'save and copy', weight: 25 },
]);
const nodePlan: readonly PlannedStep[] = Object.freeze([
  { name: 'load base and stream', weight: 45 },
  { name: 'save', weight: 15 },
  { name: 'serve to the node', weight: 25 },
  { name: 'compare and hand over', weight: 15 },
]);
const steps = { load: 0, content: 1, write: 2 } as const;
const nodeSteps = { load: 0, save: 1, serve: 2, compare: 3 } as const;

/** What restores need. */
export interface RestoreWorkOptions {
  readonly locate: (to: RestoreTarget, signal: AbortSignal) => Promise<Result<RestorePoint>>;
  readonly materialise: Materialiser;
  readonly look: NodeLook;
  readonly admin: (at: Address) => RedisNodeAdmin;
  readonly bindHost: string;
  readonly advertisedHost: string;
  readonly writer: string;
  readonly clock: Clock;
}

/** Plans a restore. */
export interface RestoreWork {
  /** Work for the runner. Refuses what cannot work, before anything has begun. */
  plan(request: RestoreRequest, signal: AbortSignal): Promise<Result<DirectWork>>;
}

/** Restores with the data of one archive. */
export function createRestoreWork(options: RestoreWorkOptions): RestoreWork {
  const { locate, materialise, look, clock } = options;

  /** With the moment made real, and the server ended afterwards. */
  const withMoment = async (
    point: RestorePoint,
    { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
    use: (moment: Materialised) => Promise<DirectOutcome>,
  ): Promise<DirectOutcome> => {
    const made = await materialise(point, {
      signal,
      report: ({ fraction, detail }) => report(steps.load, { fraction, detail }),
    });
    if (!made.ok) return made;
    try {
      return await use(made.value);
    } finally {
      await made.value.close();
    }
  };

  const intoDirectory = async (point: RestorePoint, path: string): Promise<Result<DirectWork>> => {
    // Claimed once to see whether it works; the work claims it again when there is something to write.
    const claim = (needBytes: number) => openRestoreDirectory(path, { needBytes, nowMs: clock.unixMs() });
    const tried = await claim(0);
    if (!tried.ok) return tried;
    await tried.value.discard();
    return ok({
      kind: 'restore',
      subject: path,
      plan: directoryPlan,
      run: ({ report, signal }) =>
        withMoment(point, { report, signal }, async (moment) => {
          report(steps.content, {});
          const content = await moment.content(signal);
          report(steps.write, { detail: `${content.keys.total} keys` });
          const snapshot = await moment.snapshot(signal);
          const directory = await claim(snapshot.bytes);
          if (!directory.ok) return directory;
          const description = {
            formatVersion: 1,
            point,
            ...content,
            databases: databasesNeeded(content.keys.perDatabase),
            server: moment.server,
            restoredAtMs: clock.unixMs(),
            writer: options.writer,
          };
          try {
            await directory.value.publish(snapshot, description, {
              signal,
              onFraction: (fraction) => report(steps.write, { fraction }),
            });
          } catch (error) {
            signal.throwIfAborted();
            return cannotWrite(directory.value.path, error);
          }
          const { keys, digest } = content;
          return ok({ directory: directory.value.path, point, keys: keys.total, digest, bytes: snapshot.bytes });
        }),
    });
  };

  const intoNode = async (
    point: RestorePoint,
    { group, target }: { readonly group: string; readonly target: NodeTarget },
  ): Promise<Result<DirectWork>> => {
    const at = addressIn(target.node);
    if (at === undefined) return refuse('invalid_input', `${target.node} is not host:port.`);
    const seen = await lookedAt(look, at);
    if (!seen.ok) return seen;
    const judged = (node: RestoreNode, data: Pick<NodeWish, 'writer' | 'databases'>): Result<never> | null =>
      whyNotInto(node, { group, as: target.as, overwrite: target.overwrite, ...data });
    // What the data was written by is known exactly once it is loaded; this much is known before.
    const refused = judged(seen.value, { writer: seen.value.server, databases: 1 });
    if (refused !== null) return refused;
    return ok({
      kind: 'restore',
      subject: target.node,
      plan: nodePlan,
      run: ({ report, signal }) =>
        withMoment(point, { report, signal }, async (moment) => {
          const { perDatabase } = await moment.keys(signal);
          const unfit = judged(seen.value, { writer: moment.server, databases: databasesNeeded(perDatabase) });
          if (unfit !== null) return unfit;
          report(nodeSteps.save, {});
          const snapshot = await moment.snapshot(signal);
          report(nodeSteps.serve, { detail: target.node });
          const admin = options.admin(at);
          try {
            const filled = await fillNode({
              at,
              planned: seen.value,
              as: target.as,
              moment,
              snapshot,
              look,
              admin,
              bindHost: options.bindHost,
              advertisedHost: options.advertisedHost,
              clock,
              signal,
              onFraction: (fraction) => report(nodeSteps.serve, { fraction }),
              onLoaded: () => report(nodeSteps.compare, {}),
            });
            return filled.ok ? ok({ ...filled.value, point }) : filled;
          } finally {
            admin.close();
          }
        }),
    });
  };

  return {
    plan: async ({ group, to, target }, signal) => {
      const point = await locate(to, signal);
      if (!point.ok) return point;
      return 'directory' in target
        ? intoDirectory(point.value, target.directory)
        : intoNode(point.value, { group, target });
    },
  };
}

type NodeTarget = Extract<RestoreRequest['target'], { readonly node: string }>;

/** `host:port`, also `[::1]:6379`. */
function addressIn(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const [, six, name, digits] = match ?? [];
  const host = six ?? name;
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

async function lookedAt(look: NodeLook, at: Address): Promise<Result<RestoreNode>> {
  try {
    return ok(await look(at));
  } catch (error) {
    if (!(error instanceof RedisNodeError) && !isRedisUnavailable(error)) throw error;
    return refuse('redis_unavailable', `${at.host}:${at.port} does not answer as a Redis node.`, {
      why: [error instanceof Error ? error.message : String(error)],
      next: 'Start it, or check the address, user and password.',
    });
  }
}
