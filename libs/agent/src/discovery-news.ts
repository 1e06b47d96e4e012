// What does the registry's stream tell a discovery client? Frames in, changes of its table out. It reads no more of a document
// than it needs, so that a registry of a later version is understood.
import { eligibilityOf } from '@switchyard/catalog';
import { decode, defaultServicePolicy, storedInstanceSchema, storedServiceSchema } from '@switchyard/protocol';
import type { Instance, ServicePolicy } from '@switchyard/protocol';
import type { SseFrame } from './discovery-sse.ts';

/** Where a catalog stands: a higher epoch is later whatever the revision. */
export interface Position {
  readonly epoch: number;
  readonly revision: number;
}

/** An instance as a discovery client knows it. */
export interface DiscoveredInstance {
  readonly service: string;
  readonly id: string;
  /** Base address, `http://host:port`. */
  readonly url: string;
  readonly weight: number;
  readonly zone: string | null;
  readonly version: string | null;
  readonly meta: Readonly<Record<string, string>>;
  readonly liveness: string;
  readonly role: string;
  readonly revision: number;
  /** May take new traffic, says the catalog. */
  readonly eligible: boolean;
  /** Why it may not; null when it may. */
  readonly reason: string | null;
  /** Better than nothing: used only when no instance of the service is eligible. */
  readonly lastResort: boolean;
}

/** One service, whole. */
export interface ServiceSnapshot {
  readonly name: string;
  readonly policy: ServicePolicy;
  readonly instances: readonly DiscoveredInstance[];
}

/** What one frame means for the table. */
export type DiscoveryNews =
  | { readonly type: 'snapshot'; readonly at: Position; readonly services: readonly ServiceSnapshot[] }
  | {
      readonly type: 'instances';
      readonly at: Position;
      readonly service: string;
      readonly instances: readonly DiscoveredInstance[];
    }
  | { readonly type: 'gone'; readonly at: Position; readonly service: string; readonly id: string }
  | { readonly type: 'policy'; readonly at: Position; readonly service: string; readonly policy: ServicePolicy }
  | { readonly type: 'nothing' };

const nothing: DiscoveryNews = Object.freeze({ type: 'nothing' });

/** True when `one` is earlier than `other`. */
export const isBefore = (one: Position, other: Position): boolean =>
  one.epoch < other.epoch || (one.epoch === other.epoch && one.revision < other.revision);

/** The position in an event id, `<epoch>.<revision>`; undefined when it is none. */
export function positionIn(id: string): Position | undefined {
  const match = /^(\d{1,15})\.(\d{1,16})$/.exec(id);
  return match ? { epoch: Number(match[1]), revision: Number(match[2]) } : undefined;
}

/** What a frame means. Throws when it cannot be understood at all. */
export function newsIn({ event, data }: SseFrame): DiscoveryNews {
  if (data === '') return nothing;
  const body = objectOf(JSON.parse(data), event);
  if (event === 'snapshot') {
    const services = arrayOf(body['services'], 'services').map((one) => snapshotOf(objectOf(one, 'a service')));
    return { type: 'snapshot', at: positionOf(body), services };
  }
  if (!event.startsWith('instance.') && !event.startsWith('service.')) return nothing;
  return eventNews(event, { at: positionOf(body), content: objectOf(body['data'], event) });
}

function eventNews(event: string, { at, content }: { at: Position; content: Fields }): DiscoveryNews {
  const { id, name, service } = content;
  if (content['instance'] !== undefined) {
    const instance = storedIn(content['instance'], { event, at });
    return { type: 'instances', at, service: instance.service, instances: [instance] };
  }
  // an activation changes two instances at once
  if (content['instances'] !== undefined) {
    const instances = arrayOf(content['instances'], 'instances').map((one) => storedIn(one, { event, at }));
    return { type: 'instances', at, service: textOf(service, 'service'), instances };
  }
  if (event === 'instance.deregistered' || event === 'instance.reaped') {
    return { type: 'gone', at, service: textOf(service, 'service'), id: textOf(id, 'id') };
  }
  if (event === 'service.updated') {
    return { type: 'policy', at, service: textOf(name, 'name'), policy: policyIn(content['policy']) };
  }
  return nothing;
}

function storedIn(document: unknown, { event, at }: { event: string; at: Position }): DiscoveredInstance {
  const decoded = decode(storedInstanceSchema, document);
  if (!decoded.ok) throw new Error(`${event}: ${(decoded.error.why ?? [decoded.error.detail]).join('; ')}`);
  return discovered({ ...decoded.value, revision: at.revision });
}

const snapshotOf = (service: Fields): ServiceSnapshot => {
  const name = textOf(service['name'], 'name');
  const instances = arrayOf(service['instances'], 'instances').map((one) => viewed(name, objectOf(one, 'an instance')));
  return { name, policy: policyIn(service['policy']), instances };
};

/** The policy; the default one when there is none, or one of a later version. */
function policyIn(document: unknown): ServicePolicy {
  const decoded = decode(storedServiceSchema, document ?? {});
  return decoded.ok ? { ...defaultServicePolicy, ...decoded.value } : defaultServicePolicy;
}

function discovered(instance: Instance): DiscoveredInstance {
  const verdict = eligibilityOf(instance);
  const { service, id, url, weight, zone, version, meta, liveness, role, revision } = instance;
  return {
    service,
    id,
    url,
    weight,
    zone: zone ?? null,
    version: version ?? null,
    meta,
    liveness,
    role,
    revision,
    eligible: verdict.eligible,
    reason: verdict.eligible ? null : verdict.reason,
    lastResort: !verdict.eligible && verdict.lastResort,
  };
}

/** An instance as the API shows it, which brings its verdict along. */
export function viewed(service: string, view: Fields): DiscoveredInstance {
  const eligible = view['eligible'] === true;
  const liveness = textOf(view['liveness'], 'liveness');
  const role = textOf(view['role'] ?? 'member', 'role');
  const weight = numberOf(view['weight'], 'weight');
  const inService = (view['intent'] ?? 'in-service') === 'in-service';
  return {
    service,
    id: textOf(view['id'], 'id'),
    url: textOf(view['url'], 'url'),
    weight,
    zone: typeof view['zone'] === 'string' ? view['zone'] : null,
    version: typeof view['version'] === 'string' ? view['version'] : null,
    meta: metaOf(view['meta']),
    liveness,
    role,
    revision: numberOf(view['revision'] ?? 0, 'revision'),
    eligible,
    reason: eligible ? null : typeof view['reason'] === 'string' ? view['reason'] : 'not eligible',
    // an instance from a cache brings that along, too
    lastResort:
      typeof view['lastResort'] === 'boolean'
        ? view['lastResort']
        : !eligible && liveness === 'suspect' && inService && role !== 'standby' && weight > 0,
  };
}

/** A JSON object that was not looked at yet. */
export type Fields = Readonly<Record<string, unknown>>;

const positionOf = (body: Fields): Position => ({
  epoch: numberOf(body['epoch'], 'epoch'),
  revision: numberOf(body['revision'], 'revision'),
});

const metaOf = (value: unknown): Record<string, string> => {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
};

/** `value` as an object with fields. Throws, naming `what`, when it is none. */
export function objectOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what} is no object`);
  return value as Fields;
}

/** `value` as a list. Throws, naming `what`, when it is none. */
export function arrayOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`${what} is no list`);
  return value as readonly unknown[];
}

/** `value` as a text. Throws, naming `what`, when it is none. */
export function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${what} is no text`);
  return value;
}

/** `value` as a number. Throws, naming `what`, when it is none. */
export function numberOf(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error(`${what} is no number`);
  return value;
}
