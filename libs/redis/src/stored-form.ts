// In which form do instances and events lie in Redis? Short: short names, nothing that is usual, nothing that the key says already.
//
// An instance costs Redis as many bytes as its document, twice: in the hash and in its last event. What is published and what anybody
// reads is complete. Forms of earlier versions (long names, the whole event as one JSON text) are read too.
import { eventSchema, memberOf, splitMember, storedInstanceSchema } from '@switchyard/protocol';
import type { Instance, NewEvent, StoredInstance, SwitchyardEvent } from '@switchyard/protocol';

type Document = Record<string, unknown>;

/** Names that nearly every document has; all others stay as they are. One is never given to another field. */
const shortNames: Readonly<Record<string, string>> = {
  url: 'u',
  zone: 'z',
  version: 'v',
  meta: 'm',
  check: 'c',
  sinceMs: 's',
  weight: 'w',
  declaredWeight: 'd',
  ttlMs: 't',
};
const longNames = Object.fromEntries(Object.entries(shortNames).map(([long, short]) => [short, long]));

/** The time to live of an instance that says nothing else; the scripts know it too. */
export const USUAL_TTL_MS = 3_000;
const usual: Document = {
  declaredWeight: 1,
  ttlMs: USUAL_TTL_MS,
  role: 'member',
  intent: 'in-service',
  liveness: 'alive',
  incarnation: 1,
};

const USUAL_CHECK = 'http';
function packCheck(check: object): object {
  const { type, ...rest } = check as { type?: string };
  return type === USUAL_CHECK ? rest : check;
}

/** The text of an instance under its member. */
export function packInstance(instance: object): string {
  const { service: _service, id: _id, ...document } = instance as Document;
  const packed: Document = {};
  for (const [name, value] of Object.entries(document)) {
    if (value === undefined || value === usual[name]) continue;
    if (name === 'weight' && value === document['declaredWeight']) continue;
    if (name === 'meta' && Object.keys(value as object).length === 0) continue;
    packed[shortNames[name] ?? name] = name === 'check' ? packCheck(value as object) : value;
  }
  return JSON.stringify(packed);
}

/** The whole document again, not yet checked. */
function unpacked(member: string, text: string): Document {
  const packed = Object.entries(JSON.parse(text) as Document);
  const document = Object.fromEntries(packed.map(([name, value]) => [longNames[name] ?? name, value]));
  const declaredWeight = document['declaredWeight'] ?? usual['declaredWeight'];
  const { check } = document;
  return {
    ...splitMember(member),
    weight: declaredWeight,
    meta: {},
    ...usual,
    ...document,
    ...(typeof check === 'object' ? { check: { type: USUAL_CHECK, ...check } } : {}),
  };
}

/** Throws when it is no instance. */
export const unpackInstance = (member: string, text: string): StoredInstance =>
  storedInstanceSchema.parse(unpacked(member, text));

/** `<revision>|<text>` under `member`. */
export function storedInstance(member: string, stored: string): Instance {
  const at = stored.indexOf('|');
  return { ...unpackInstance(member, stored.slice(at + 1)), revision: Number(stored.slice(0, at)) };
}

const ABOUT_INSTANCE = /^instance\./;

/**
 * Fields of an entry of the stream beside `e` epoch and `t` Unix ms, which the script adds: `y` type, `s` source, `j` subject; then `d`
 * data, or `i` the instance in it and `x` the rest of it, if any. The type of an entry with `i` goes without "instance.".
 */
export function packEvent(event: NewEvent, source: string): string[] {
  const head = (type: string): string[] => ['y', type, 's', source, 'j', event.subject];
  const { instance, ...rest } = event.data as { instance?: StoredInstance };
  if (instance === undefined || memberOf(instance.service, instance.id) !== event.subject) {
    return [...head(event.type), 'd', JSON.stringify(event.data)];
  }
  const more = Object.keys(rest).length === 0 ? [] : ['x', JSON.stringify(rest)];
  return [...head(event.type.replace(ABOUT_INSTANCE, '')), 'i', packInstance(instance), ...more];
}

/** One entry of the stream: its revision, and the event as JSON, not yet checked. */
export interface StreamEntry {
  readonly revision: number;
  readonly event: Pick<SwitchyardEvent, 'epoch' | 'time' | 'type' | 'subject' | 'data'>;
  /** how to take the change back, as it was kept */
  readonly undo: string | undefined;
}

/** An entry as XRANGE returns it. */
export function streamEntry([id, fields]: readonly [string, readonly string[]]): StreamEntry {
  const revision = Number.parseInt(id, 10);
  const field = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) field.set(fields[at] ?? '', fields[at + 1] ?? '');
  const undo = field.get('u');
  const type = field.get('y');
  if (type === undefined) return { revision, event: JSON.parse(field.get('e') ?? '{}') as StreamEntry['event'], undo };
  const subject = field.get('j') ?? '';
  const instance = field.get('i');
  const data =
    instance === undefined
      ? JSON.parse(field.get('d') ?? '{}')
      : { instance: unpacked(subject, instance), ...(JSON.parse(field.get('x') ?? '{}') as object) };
  const epoch = Number(field.get('e'));
  const event = {
    id: `${epoch}.${revision}`,
    epoch,
    revision,
    time: new Date(Number(field.get('t'))).toISOString(),
    specversion: '1.0',
    source: field.get('s') ?? '',
    type: instance === undefined ? type : `instance.${type}`,
    subject,
    data,
  };
  return { revision, event: event as unknown as StreamEntry['event'], undo };
}

/** Undefined for what a later version wrote: a reader must neither stop at it nor act on half of it. */
export function eventOf(entry: StreamEntry): SwitchyardEvent | undefined {
  const decoded = eventSchema.safeParse(entry.event);
  return decoded.success ? decoded.data : undefined;
}
