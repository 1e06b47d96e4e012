// What does a small catalog look like in a test? Documents to begin with, and a store in memory that commits as Redis does.
import { instanceInputSchema } from '@switchyard/protocol';
import type { Instance, InstanceInput, ServicePolicy, SwitchyardEvent, TrafficRoute } from '@switchyard/protocol';
import { NO_TOKEN_YET } from './commit.ts';
import type { Commit, Decision } from './commit.ts';
import { registerInstance } from './instance-transitions.ts';
import type { Versioned } from './setting-transitions.ts';
import type { CatalogSnapshot } from './view.ts';

/** The body of a registration, with all its defaults. */
export const inputOf = (more: object = {}): InstanceInput =>
  instanceInputSchema.parse({ url: 'http://10.0.0.5:3000', ...more });

/** The commit of a decision that changes something. */
export function commitOf(decision: Decision): Commit {
  if (decision.type !== 'commit') throw new Error('nothing was decided');
  return decision.commit;
}

/** A registered instance at revision 1, with `more` in place of what it was registered with. */
export function instanceOf(more: Partial<Instance> = {}): Instance {
  const ref = { service: more.service ?? 'shop', id: more.id ?? 'a' };
  const document = commitOf(registerInstance(undefined, ref, inputOf(), 1_000)).writes[0]?.document;
  return { ...(document as Instance), revision: 1, ...more };
}

/** A catalog in memory: checks what a commit expects, writes, gives out the next revision and the event. */
export function memoryCatalog(epoch = 1) {
  const instances = new Map<string, Instance>();
  const services = new Map<string, Versioned<ServicePolicy>>();
  const routes = new Map<string, Versioned<TrafficRoute>>();
  const documents = { instance: instances, service: services, route: routes };
  let revision = 0;
  let fence = 0;
  /** The commit as it is written when it takes a fencing token. */
  const granted = (commit: Commit): Commit => {
    if (!commit.grant) return commit;
    fence += 1;
    return JSON.parse(
      JSON.stringify(commit).replaceAll(`"fencingToken":${NO_TOKEN_YET}`, `"fencingToken":${fence}`),
    ) as Commit;
  };
  return {
    instances,
    services,
    routes,
    /** Commits, or throws when an expectation does not hold: one writer never sees that. */
    commit(decided: Commit): SwitchyardEvent {
      const commit = granted(decided);
      for (const { kind, key, revision: expected } of commit.expect) {
        const stored = documents[kind].get(key)?.revision ?? 0;
        if (stored !== expected) throw new Error(`${kind} ${key} has revision ${stored}, not ${expected}`);
      }
      revision += 1;
      for (const { kind, key, document } of commit.writes) {
        if (document === null) documents[kind].delete(key);
        else if (kind === 'instance') instances.set(key, { ...(document as Instance), revision });
        else (documents[kind] as Map<string, unknown>).set(key, { document, revision });
      }
      const id = `${epoch}.${revision}`;
      return { ...commit.event, id, epoch, revision, specversion: '1.0', source: 'test', time: '' };
    },
    snapshot: (): CatalogSnapshot => ({
      epoch,
      revision,
      instances: [...instances.values()],
      services: Object.fromEntries(services),
      routes: Object.fromEntries(routes),
    }),
  };
}
