// Which instances does this dispatcher leave out for a moment? Brings what the data plane sees to the outlier detector of
// libs/failure-detection, and says when the table has to be made anew. Judged here alone; monitors hear of it as doubts.
import {
  createOutlierDetector,
  type Ejection,
  type EjectionSettings,
  type FailureKind,
} from '@switchyard/failure-detection';
import type { InstanceOutcome, Target } from '@switchyard/proxy';
import type { Clock, Logger } from '@switchyard/runtime';
import type { Doubts } from './doubts.ts';

/** The instances that are left out. */
export interface Ejections {
  /** Takes in what an attempt says. `instances`: how many of the service may take traffic, the ejected ones included. */
  observe(
    seen: { readonly target: Target; readonly outcome: InstanceOutcome; readonly reason: string },
    instances: number,
  ): void;
  /** The ejection that holds for an instance. */
  of(service: string, id: string): Ejection | undefined;
  /** Ejections of an instance so far. */
  countOf(service: string, id: string): number;
  /** Ejections by kind of failure since the start. */
  readonly totals: Readonly<Record<FailureKind, number>>;
  /** Learns what it serves. To be called once, before the first `observe`. */
  serve(table: EjectionsTable): void;
  /** Ends what is over; also done by a timer of its own. */
  look(): void;
  /** Forgets instances that are gone. */
  retain(isKnown: (service: string, id: string) => boolean): void;
}

/** Who is left out of what. */
export interface EjectionsTable {
  /** Called with the service whenever one of its instances is left out or comes back. */
  changed(service: string): void;
  /** Undefined when the service wants nobody left out. */
  settingsOf(service: string): EjectionSettings | undefined;
}

const noTable: EjectionsTable = { changed: () => undefined, settingsOf: () => undefined };

/** Nobody is left out. */
export function createEjections({
  clock,
  logger,
  doubts,
}: {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hears of each failure, also where the service wants nobody left out. */
  readonly doubts?: Doubts;
}): Ejections {
  const detector = createOutlierDetector();
  const totals: Record<FailureKind, number> = { connect: 0, timeout: 0, reset: 0, 'gateway-error': 0 };
  // those whose meter carries our marks; as many as there are ejections
  const ejected = new Map<Ejection, Target>();
  let table = noTable;
  let timer: NodeJS.Timeout | undefined;

  const look = (): void => {
    for (const ejection of detector.end(clock.monotonicMs())) {
      const target = ejected.get(ejection);
      ejected.delete(ejection);
      if (target) target.meter.onTrial = true;
      logger.info({ service: ejection.service, instance: ejection.id }, 'instance.on_trial');
      table.changed(ejection.service);
    }
    arm();
  };
  const arm = (): void => {
    clearTimeout(timer);
    const nextMs = detector.nextEndMs();
    if (nextMs < Infinity) timer = setTimeout(look, Math.max(1, nextMs - clock.monotonicMs())).unref();
  };

  return {
    observe({ target, outcome, reason }, instances) {
      const { service, id, meter } = target;
      if (outcome === 'answered') {
        meter.watched = detector.answered(service, id);
        meter.onTrial &&= meter.watched;
        return;
      }
      doubts?.observe({ target, outcome, reason });
      const settings = table.settingsOf(service);
      if (settings === undefined) return;
      meter.watched = true;
      const seen = { service, id, kind: outcome, reason, instances, settings, nowMs: clock.monotonicMs() };
      const ejection = detector.failed(seen);
      if (!ejection) return;
      totals[outcome] += 1;
      ejected.set(ejection, target);
      meter.onTrial = false;
      logger.warn({ service, instance: id, forMs: ejection.forMs, reason: ejection.reason }, 'instance.ejected');
      table.changed(service);
      arm();
    },
    of: (service, id) => detector.ejectionOf(service, id),
    countOf: (service, id) => detector.countOf(service, id),
    totals,
    serve(served) {
      table = served;
    },
    look,
    retain(isKnown) {
      detector.retain(isKnown);
      for (const [ejection] of ejected) if (!isKnown(ejection.service, ejection.id)) ejected.delete(ejection);
    },
  };
}
