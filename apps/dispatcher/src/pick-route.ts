// Which instance should a client use that balances by itself? The same answer as the data plane's, without the proxying.
import { pickByKey, pickerFor, type Picker } from '@switchyard/balancing';
import { route, type Route } from '@switchyard/http';
import { policyNameSchema, refuse, serviceNameSchema, type PolicyName, type Refusal } from '@switchyard/protocol';
import type { Target } from '@switchyard/proxy';
import type { Clock } from '@switchyard/runtime';
import { z } from 'zod';
import { policyContext, type ServiceEntry } from './targets.ts';
import type { TableKeeper } from './table-keeper.ts';

/** A client should ask again after this: by then a dead instance is known to be dead. */
export const pickHoldMs = 1_000;

const pickSchema = z
  .object({
    service: z.string(),
    instance: z.object({ id: z.string(), url: z.string(), weight: z.number() }),
    policy: z.string().meta({ description: 'the policy that picked; "key" when the key did' }),
    epoch: z.number(),
    revision: z.number(),
    expires: z.iso.datetime().meta({ description: 'ask again after this' }),
    expiresInMs: z.int(),
  })
  .meta({ id: 'Pick' });

interface PickQuery {
  readonly policy?: PolicyName | undefined;
  readonly key?: string | undefined;
}

/** `GET /v1/services/{service}/pick`. Its pickers are its own: asking does not disturb the order of the traffic. */
export const pickRoute = (options: {
  readonly keeper: TableKeeper;
  readonly random: () => number;
  readonly clock: Clock;
  /** Called with each service of which an instance was named. */
  readonly notePick: (service: string) => void;
}): Route => {
  const { keeper, random, clock, notePick } = options;
  // One small map for each service entry of the present table; it goes when the entry goes.
  const pickers = new WeakMap<ServiceEntry, Map<PolicyName, Picker<Target>>>();

  const targetFor = (entry: ServiceEntry, { policy, key }: PickQuery): Target | undefined => {
    const { candidates } = entry.picker;
    if (key !== undefined) return pickByKey(candidates, key);
    const name = policy ?? entry.policy.policy;
    let own = pickers.get(entry);
    if (!own) pickers.set(entry, (own = new Map()));
    let picker = own.get(name);
    if (!picker) own.set(name, (picker = pickerFor({ policy: name, candidates, context: policyContext(random) })));
    const result = picker.pick([]);
    return result.picked ? result.candidate : undefined;
  };

  return route({
    method: 'get',
    path: '/v1/services/:service/pick',
    summary: 'The instance that a client should use now, for clients that balance by themselves',
    description: 'With a key, the same key gets the same instance as long as that one may take traffic.',
    tags: ['dispatcher'],
    params: z.object({ service: serviceNameSchema }),
    query: z.strictObject({ policy: policyNameSchema.optional(), key: z.string().min(1).max(512).optional() }),
    responses: { 200: { description: 'The instance', schema: pickSchema } },
    handle({ params, query }) {
      const table = keeper.current();
      if (!table) return refuse('not_ready', 'the dispatcher has no routing table yet').error;
      const entry = table.services.get(params.service);
      if (!entry) return refuse('not_found', `there is no service named ${params.service}`).error;
      const target = targetFor(entry, query);
      if (!target) return nobody(entry);
      notePick(params.service);
      return {
        status: 200,
        body: {
          service: params.service,
          instance: { id: target.id, url: target.origin, weight: target.weight },
          policy: query.key === undefined ? (query.policy ?? entry.policy.policy) : 'key',
          epoch: table.epoch,
          revision: table.revision,
          expires: new Date(clock.unixMs() + pickHoldMs).toISOString(),
          expiresInMs: pickHoldMs,
        },
      };
    },
  });
};

function nobody({ name, whyNot }: ServiceEntry): Refusal {
  const why = whyNot.map(({ id, reason }) => `${id}: ${reason}`);
  return {
    code: 'no_instance',
    detail: `no instance of ${name} can take traffic`,
    why: why.length > 0 ? why : [`no instance of ${name} is registered`],
  };
}
