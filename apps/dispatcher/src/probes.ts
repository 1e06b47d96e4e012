// Who is alive when Redis is away? Nobody hears heartbeats then and nobody evicts, so the dispatcher asks each instance of its table
// itself, as the instance's check says. What it finds holds for its own traffic only, and until the catalog can judge again.
//
//   RESTING --Redis silent for `afterMs`--> PROBING --Redis answers--> LETTING GO (who is out is asked on) --nobody is out--> RESTING
import { eligibilityOf } from '@switchyard/catalog';
import { checkPlanOf, createProbeWatch, outlastsOutage } from '@switchyard/failure-detection';
import type { ProbeEnd } from '@switchyard/http';
import { parseDurationMs, type Instance } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import { createTicker, type Clock, type Component, type Logger } from '@switchyard/runtime';

/** What probes have found out. */
export interface Probes extends Component {
  /** Why an instance is left out by probes; undefined when it is not. */
  of(service: string, id: string): string | undefined;
  /** Learns what it serves. To be called once, before `start`. */
  serve(table: ProbedTable): void;
  /** Forgets instances that are gone. */
  retain(isKnown: (service: string, id: string) => boolean): void;
  status(): ProbesStatus;
}

/** Whom probes are about. */
export interface ProbedTable {
  /** Called with the service whenever probes turn against one of its instances, or for it again. */
  changed(service: string): void;
  instances(): Iterable<Instance>;
}

export interface ProbesStatus {
  /** Redis is away and everybody is asked. */
  readonly probing: boolean;
  /** Instances that probes speak against. */
  readonly out: number;
  /** Probes since the start, by how they ended. */
  readonly ends: Readonly<Record<ProbeEnd['outcome'], number>>;
}

export interface ProbesOptions {
  readonly feed: Pick<CatalogFeed, 'status'>;
  /** Never rejects; ends within the timeout. */
  readonly probe: (instance: Instance, timeoutMs: number) => Promise<Omit<ProbeEnd, 'heard'>>;
  /** Redis is away when it was silent for so long. */
  readonly afterMs: number;
  /** For an instance whose check does not say. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Probes under way at once; 64 unless given. */
  readonly mostAtOnce?: number;
  /** From 0 to 1, exclusive. */
  readonly random: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Turn {
  nextMs: number;
  asking: boolean;
}

const lookEveryMs = 50;
/** A longer time between two looks was a stall of ours: answers may have waited for us. */
const mostGapMs = 500;
/** So much of an interval is taken away at random, so that instances and dispatchers spread. */
const jitter = 0.1;

const noTable: ProbedTable = { changed: () => undefined, instances: () => [] };
const keyOf = ({ service, id }: Pick<Instance, 'service' | 'id'>): string => `${service}/${id}`;

/** Nobody is asked yet. */
export function createProbes(options: ProbesOptions): Probes {
  const { feed, afterMs, mostAtOnce = 64, random, clock, logger } = options;
  const watch = createProbeWatch();
  const turns = new Map<string, Turn>();
  const ends = { answered: 0, refused: 0, timeout: 0, failed: 0, other: 0 };
  let table = noTable;
  let probing = false;
  let underWay = 0;
  let startedMs = Infinity;
  let lookedMs = -Infinity;
  /** the end of our last stall: probes that began before say nothing against anybody */
  let steadyMs = -Infinity;
  let readableFromMs = -Infinity;

  const intervalOf = ({ check }: Instance): number =>
    (check?.interval === undefined ? undefined : parseDurationMs(check.interval)) ?? options.intervalMs;
  const tell = (instance: Instance, change: 'out' | 'in'): void => {
    const { service, id } = instance;
    const reason = watch.reasonOf(service, id);
    if (change === 'out') logger.warn({ service, instance: id, reason }, 'instance.probed_out');
    else logger.info({ service, instance: id }, 'instance.probed_in');
    table.changed(service);
  };

  const ask = async (instance: Instance, turn: Turn): Promise<void> => {
    const { service, id } = instance;
    const beganMs = clock.monotonicMs();
    turn.asking = true;
    underWay += 1;
    turn.nextMs = beganMs + intervalOf(instance) * (1 - jitter * random());
    const end = await options.probe(instance, options.timeoutMs);
    underWay -= 1;
    turn.asking = false;
    ends[end.outcome] += 1;
    // nobody asks any more, or somebody else is behind that name now
    if (turns.get(keyOf(instance)) !== turn) return;
    const answered = end.outcome === 'answered';
    if (!answered && beganMs < steadyMs) return;
    const settings = checkPlanOf(instance.check);
    const change = watch.record({ service, id, answered, detail: end.detail, ...(settings && { settings }) });
    if (change !== undefined) tell(instance, change);
  };

  const follow = (nowMs: number): void => {
    const { ageMs } = feed.status();
    const away = Math.min(ageMs, nowMs - startedMs) > afterMs;
    if (away === probing) return;
    probing = away;
    if (away) {
      logger.warn({ redisSilentMs: Number.isFinite(ageMs) ? Math.round(ageMs) : null }, 'probes.began');
      return;
    }
    readableFromMs = nowMs;
    watch.calm();
    logger.info({ out: watch.out().length }, 'probes.ended');
  };
  // The catalog rules again as soon as it can judge. One that Redis has forgotten is in the table for a while, as it was.
  const letGo = (nowMs: number): void => {
    if (watch.out().length === 0) return;
    const present = new Map([...table.instances()].map((instance) => [keyOf(instance), instance]));
    for (const { service, id } of watch.out()) {
      const known = present.get(keyOf({ service, id }));
      const facts = { liveness: known?.liveness, ttlMs: known?.ttlMs ?? 0, readableMs: nowMs - readableFromMs };
      if (outlastsOutage(facts)) continue;
      watch.forget(service, id);
      logger.info({ service, instance: id }, 'instance.left_to_catalog');
      table.changed(service);
    }
  };

  const look = (): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs > mostGapMs) steadyMs = nowMs;
    lookedMs = nowMs;
    follow(nowMs);
    if (!probing) letGo(nowMs);
    const present = new Set<string>();
    const due: { readonly instance: Instance; readonly turn: Turn }[] = [];
    if (probing || watch.out().length > 0) {
      for (const instance of table.instances()) {
        if (!isProbed(instance) || !(probing || watch.reasonOf(instance.service, instance.id))) continue;
        const key = keyOf(instance);
        present.add(key);
        const turn = turns.get(key) ?? { nextMs: nowMs + random() * intervalOf(instance), asking: false };
        turns.set(key, turn);
        if (turn.nextMs <= nowMs && !turn.asking) due.push({ instance, turn });
      }
    }
    for (const key of turns.keys()) if (!present.has(key)) turns.delete(key);
    due.sort((one, other) => one.turn.nextMs - other.turn.nextMs);
    for (const { instance, turn } of due.slice(0, Math.max(0, mostAtOnce - underWay))) {
      ask(instance, turn).catch((error: unknown) => logger.error({ err: error }, 'probe.broken'));
    }
  };

  const run = (): Promise<void> => Promise.resolve(look());
  const ticker = createTicker({ name: 'probes', everyMs: lookEveryMs, run, clock, logger });
  return {
    name: 'probes',
    start(signal) {
      startedMs = lookedMs = clock.monotonicMs();
      return ticker.start(signal);
    },
    stop: () => ticker.stop(),
    of(service, id) {
      const reason = watch.reasonOf(service, id);
      return reason === undefined ? undefined : `left out by probes from here: ${reason}`;
    },
    serve(served) {
      table = served;
    },
    retain: (isKnown) => watch.retain(isKnown),
    status: () => ({ probing, out: watch.out().length, ends }),
  };
}

// Those that would get traffic, and whose owner has not asked to be left alone.
function isProbed(instance: Instance): boolean {
  if (instance.check?.type === 'none' || !URL.canParse(instance.url)) return false;
  const verdict = eligibilityOf(instance);
  return verdict.eligible || verdict.lastResort;
}
