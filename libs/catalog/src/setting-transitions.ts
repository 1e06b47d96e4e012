// What is a legal change of a service's policy or of a route?
import { ok, refuse } from '@switchyard/protocol';
import type { NewEvent, Result, ServicePolicy, TrafficRoute } from '@switchyard/protocol';
import { unchanged } from './commit.ts';
import type { Decision, DocumentKind } from './commit.ts';
import { sameJson } from './json-equality.ts';
import { checkPrecondition } from './precondition.ts';
import type { Precondition } from './precondition.ts';
import { activationOf } from './roles.ts';

/** A stored document with the revision of its last change. */
export interface Versioned<T> {
  readonly document: T;
  readonly revision: number;
}

function put(
  current: Versioned<object> | undefined,
  target: { kind: DocumentKind; name: string; document: object; event: NewEvent; service?: string },
): Decision {
  if (current && sameJson(current.document, target.document)) return unchanged;
  return {
    type: 'commit',
    commit: {
      expect: [{ kind: target.kind, key: target.name, revision: current?.revision ?? 0 }],
      writes: [
        {
          kind: target.kind,
          key: target.name,
          document: target.document,
          ...(current ? { before: current.document } : {}),
        },
      ],
      ...(target.service === undefined ? {} : { service: target.service }),
      event: target.event,
    },
  };
}

/** Replaces a service's policy. The same policy again changes nothing. Who was activated last is no part of it and stays. */
export function putService(
  current: Versioned<ServicePolicy> | undefined,
  name: string,
  policy: ServicePolicy,
  precondition?: Precondition,
): Result<Decision> {
  const held = checkPrecondition(`service ${name}`, current, precondition);
  if (!held.ok) return held;
  const activation = activationOf(current);
  const document = { ...policy, ...(activation ? { activation } : {}) };
  const event: NewEvent = { type: 'service.updated', subject: name, data: { name, policy: document } };
  return ok(put(current, { kind: 'service', name, document, event, service: name }));
}

/** Adds or replaces a route. The same route again changes nothing. */
export function putRoute(
  current: Versioned<TrafficRoute> | undefined,
  name: string,
  route: TrafficRoute,
  precondition?: Precondition,
): Result<Decision> {
  const held = checkPrecondition(`route ${name}`, current, precondition);
  if (!held.ok) return held;
  const event: NewEvent = { type: 'route.updated', subject: name, data: { name, route } };
  return ok(put(current, { kind: 'route', name, document: route, event }));
}

/** Removes a route; refuses an unknown one. */
export function deleteRoute(
  current: Versioned<TrafficRoute> | undefined,
  name: string,
  precondition?: Precondition,
): Result<Decision> {
  if (!current) return refuse('not_found', `there is no route named ${name}`);
  const held = checkPrecondition(`route ${name}`, current, precondition);
  if (!held.ok) return held;
  return ok({
    type: 'commit',
    commit: {
      expect: [{ kind: 'route', key: name, revision: current.revision }],
      writes: [{ kind: 'route', key: name, document: null, before: current.document }],
      event: { type: 'route.deleted', subject: name, data: { name } },
    },
  });
}
