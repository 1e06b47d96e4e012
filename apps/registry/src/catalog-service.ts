// What can be asked of the registry, whichever way the request came (HTTP or pub/sub)? Read, decide, commit, answer.
import {
  checkPrecondition,
  deleteRoute,
  patchInstance,
  putRoute,
  putService,
  registerInstanceUnder,
  removeInstance,
} from '@switchyard/catalog';
import type { CatalogStore, Decision, InstanceRef, Precondition, Versioned } from '@switchyard/catalog';
import { memberOf, ok, refuse } from '@switchyard/protocol';
import type {
  Instance,
  InstanceInput,
  InstancePatch,
  LoadReport,
  Result,
  ServicePolicy,
  TrafficRoute,
} from '@switchyard/protocol';
import { decideAndCommit } from '@switchyard/redis';
import type { CatalogFeed } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import type { LivenessParts } from './liveness-parts.ts';

/** A stored document and whether this request made it. */
export interface Written<T> {
  readonly document: T;
  readonly created: boolean;
}

/**
 * Writes the catalog. Every method rejects while Redis is away; nothing is half-written then. What a caller reads here after
 * its write, also after one that changed nothing, shows it.
 */
export interface CatalogService {
  register(ref: InstanceRef, input: InstanceInput, precondition?: Precondition): Promise<Result<Written<Instance>>>;
  heartbeat(ref: InstanceRef, load?: LoadReport): Promise<Result<null>>;
  patch(ref: InstanceRef, patch: InstancePatch, precondition?: Precondition): Promise<Result<Instance>>;
  deregister(ref: InstanceRef, reason: string, precondition?: Precondition): Promise<Result<null>>;
  putService(
    name: string,
    policy: ServicePolicy,
    precondition?: Precondition,
  ): Promise<Result<Written<Versioned<ServicePolicy>>>>;
  putRoute(
    name: string,
    route: TrafficRoute,
    precondition?: Precondition,
  ): Promise<Result<Written<Versioned<TrafficRoute>>>>;
  deleteRoute(name: string, precondition?: Precondition): Promise<Result<null>>;
}

const gone = (what: string): Result<never> =>
  refuse('conflict', `${what} was removed by somebody else at the same moment`, { next: 'send the request again' });

/** A reader that asks right after its own write waits at most this long for the feed. */
const READ_YOUR_WRITE_MS = 300;

/** The service over `store`, with the beats and loads of `liveness`; `feed` is where this registry reads from. */
export function createCatalogService(options: {
  readonly store: CatalogStore;
  readonly liveness: Pick<LivenessParts, 'beats' | 'loads'>;
  readonly feed: CatalogFeed;
  readonly clock: Clock;
  /** Resolves when what is there already is as safe as a change has to be; throws when that is not known. */
  readonly confirm?: (() => Promise<void>) | undefined;
}): CatalogService {
  const { store, liveness, feed, clock, confirm } = options;
  const { beats, loads } = liveness;
  /** Decides on what `read` finds, commits, and answers with what is stored then. */
  const write = async <T extends { readonly revision: number }>(
    what: string,
    read: () => Promise<T | undefined>,
    decide: (current: T | undefined) => Result<Decision>,
  ): Promise<Result<Written<T>>> => {
    let created = false;
    const outcome = await decideAndCommit(store, async () => {
      const current = await read();
      created = current === undefined;
      return decide(current);
    });
    if (!outcome.ok) return outcome;
    // somebody may have been told that it is not known, and asks again
    if (outcome.value.type === 'unchanged') await confirm?.();
    const document = await read();
    if (document === undefined) return gone(what);
    // another registry may have written it a moment ago
    await feed.reached(document.revision, READ_YOUR_WRITE_MS);
    return ok({ document, created });
  };
  const remove = async (decide: () => Promise<Result<Decision>>): Promise<Result<null>> => {
    const outcome = await decideAndCommit(store, decide);
    if (!outcome.ok) return outcome;
    if (outcome.value.type === 'committed') await feed.reached(outcome.value.cursor.revision, READ_YOUR_WRITE_MS);
    else await confirm?.();
    return ok(null);
  };
  const readInstance = ({ service, id }: InstanceRef) => store.readInstance(service, id);

  return {
    async register(ref, input, precondition) {
      const what = `instance ${ref.id} of service ${ref.service}`;
      let settings: Versioned<ServicePolicy> | undefined;
      const written = await write(
        what,
        async () => {
          const [current, policy] = await Promise.all([readInstance(ref), store.readService(ref.service)]);
          settings = policy;
          return current;
        },
        (current) => {
          const held = checkPrecondition(what, current, precondition);
          const nowMs = clock.unixMs();
          return held.ok ? ok(registerInstanceUnder(current, ref, input, { nowMs, settings })) : held;
        },
      );
      // the same document again changes nothing, but it is a sign of life
      if (written.ok) await beats.beatAll([memberOf(ref.service, ref.id)]);
      return written;
    },
    async heartbeat(ref, load) {
      const member = memberOf(ref.service, ref.id);
      const unknown = await beats.beatAll([member]);
      if (load && unknown.length === 0) loads.report(member, load);
      return unknown.length === 0
        ? ok(null)
        : refuse('unknown_instance', `instance ${ref.id} of service ${ref.service} is not registered, or was evicted`);
    },
    async patch(ref, patch, precondition) {
      const written = await write(
        `instance ${ref.id}`,
        () => readInstance(ref),
        (current) => patchInstance(current, ref, patch, precondition),
      );
      return written.ok ? ok(written.value.document) : written;
    },
    deregister: (ref, reason, precondition) =>
      remove(async () =>
        removeInstance(await readInstance(ref), ref, {
          type: 'instance.deregistered',
          reason,
          ...(precondition === undefined ? {} : { precondition }),
        }),
      ),
    putService: (name, policy, precondition) =>
      write(
        `service ${name}`,
        () => store.readService(name),
        (current) => putService(current, name, policy, precondition),
      ),
    putRoute: (name, route, precondition) =>
      write(
        `route ${name}`,
        () => store.readRoute(name),
        (current) => putRoute(current, name, route, precondition),
      ),
    deleteRoute: (name, precondition) =>
      remove(async () => deleteRoute(await store.readRoute(name), name, precondition)),
  };
}
