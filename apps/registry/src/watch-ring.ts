// What happened lately, ready to be sent? The last events of one epoch without a gap, in memory that does not grow.
import { frameOf } from '@switchyard/http';
import type { EventType, SwitchyardEvent } from '@switchyard/protocol';

/** One event, serialised once for all who watch. */
export interface RingEntry {
  readonly revision: number;
  /** first word of the type */
  readonly topic: string;
  /** whose event it is; undefined when it is no service's */
  readonly service: string | undefined;
  /** its frame in a stream of server-sent events */
  readonly frame: Buffer;
}

export interface EventRing {
  /** every event after this revision is here */
  readonly floor: number;
  readonly latest: number;
  /** Takes the next event, and lets the oldest go when it would be too much. */
  push(entry: RingEntry): void;
  /** Forgets all; what comes next follows `revision`. */
  reset(revision: number): void;
  /** What came after `revision`, oldest first; undefined when some of that is no longer here. */
  after(revision: number): Iterable<RingEntry> | undefined;
}

/** Topics are the first words of event types: `instance`, `service`, `route`, `catalog`, `redis`, `backup`. */
export const topicOf = (type: EventType): string => type.slice(0, type.indexOf('.'));

const serviceOf = ({ type, subject }: SwitchyardEvent): string | undefined =>
  /^(?:instance|service)\./.test(type) ? subject.split('/', 1)[0] : undefined;

/** The event as it is kept and sent. */
export const entryOf = (event: SwitchyardEvent): RingEntry => ({
  revision: event.revision,
  topic: topicOf(event.type),
  service: serviceOf(event),
  frame: Buffer.from(frameOf({ id: event.id, event: event.type, data: event })),
});

/** An empty ring of at most so many events, and so many bytes of frames. */
export function createEventRing(limits: { readonly maxEvents: number; readonly maxBytes: number }): EventRing {
  const { maxEvents, maxBytes } = limits;
  const slots: (RingEntry | undefined)[] = [];
  let latest = 0;
  let floor = 0;
  let bytes = 0;

  const reset = (revision: number): void => {
    slots.length = 0;
    bytes = 0;
    floor = latest = revision;
  };
  const drop = ({ revision, frame }: RingEntry): void => {
    floor = revision;
    bytes -= frame.length;
    slots[revision % maxEvents] = undefined;
  };
  function* from(revision: number): Generator<RingEntry> {
    for (let next = revision + 1; next <= latest; next += 1) {
      const entry = slots[next % maxEvents];
      if (entry) yield entry;
    }
  }

  return {
    get floor() {
      return floor;
    },
    get latest() {
      return latest;
    },
    push(entry) {
      // a hole would be a lost event: what is older is then found in Redis
      if (entry.revision !== latest + 1) reset(entry.revision - 1);
      const last = slots[entry.revision % maxEvents];
      if (last) drop(last);
      slots[entry.revision % maxEvents] = entry;
      latest = entry.revision;
      bytes += entry.frame.length;
      for (const oldest of from(floor)) {
        if (bytes <= maxBytes) break;
        drop(oldest);
      }
    },
    reset,
    after: (revision) => (revision < floor ? undefined : from(revision)),
  };
}
