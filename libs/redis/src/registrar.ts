// How does a process that has Redis anyway register itself? Straight through the catalog store, without the registry.
import type { Redis } from 'ioredis';
import { memberOf, ok, refuse } from '@switchyard/protocol';
import type { DrainView, InstanceInput, Result } from '@switchyard/protocol';
import { patchInstance, registerInstanceUnder, removeInstance, unchanged } from '@switchyard/catalog';
import type { CatalogStore, Decision } from '@switchyard/catalog';
import { beat } from './heartbeats.ts';
import { decideAndCommit } from './commit-loop.ts';
import { createDispatcherBoard } from './dispatcher-board.ts';
import { readDrain } from './dispatcher-drain.ts';

/** What an agent needs to keep one instance in the catalog. Every method rejects while Redis is away. */
export interface RedisRegistrar {
  register(): Promise<Result<null>>;
  beat(): Promise<'known' | 'unknown'>;
  drain(reason: string): Promise<Result<null>>;
  /** Who still has requests here, and whether every dispatcher has let go. */
  drained(): Promise<Result<DrainView>>;
  /** One that is not there counts as taken out. */
  deregister(reason: string): Promise<Result<null>>;
}

/** Registers `service`/`id` as `input` describes it. */
export function createRedisRegistrar(options: {
  readonly store: CatalogStore;
  readonly redis: Redis;
  readonly service: string;
  readonly id: string;
  readonly input: InstanceInput;
}): RedisRegistrar {
  const { store, redis, service, id, input } = options;
  const ref = { service, id };
  const member = memberOf(service, id);
  const board = createDispatcherBoard(redis);
  const carry = async (decide: () => Promise<Result<Decision>>): Promise<Result<null>> => {
    const outcome = await decideAndCommit(store, decide);
    return outcome.ok ? ok(null) : outcome;
  };
  return {
    async register() {
      const registered = await carry(async () => {
        const [current, settings] = await Promise.all([store.readInstance(service, id), store.readService(service)]);
        return ok(registerInstanceUnder(current, ref, input, { nowMs: Date.now(), settings }));
      });
      // an unchanged document is a sign of life all the same
      if (registered.ok) await beat(redis, [member]);
      return registered;
    },
    beat: async () => ((await beat(redis, [member])).length === 0 ? 'known' : 'unknown'),
    drain: (reason) =>
      carry(async () => patchInstance(await store.readInstance(service, id), ref, { intent: 'draining', reason })),
    async drained() {
      const view = await readDrain({ store, board }, ref);
      return view ? ok(view) : refuse('not_found', `instance ${id} of service ${service} is not known`);
    },
    deregister: (reason) =>
      carry(async () => {
        const current = await store.readInstance(service, id);
        return current ? removeInstance(current, ref, { type: 'instance.deregistered', reason }) : ok(unchanged);
      }),
  };
}
