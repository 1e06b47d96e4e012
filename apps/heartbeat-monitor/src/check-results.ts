// Whom do checks speak against, and with what evidence? The verdict of rise and fall, with the probes that led to it.
import { splitMember } from '@switchyard/protocol';
import type { Evidence, Instance } from '@switchyard/protocol';
import { createProbeWatch } from '@switchyard/failure-detection';
import type { Checked, ProbeResult } from '@switchyard/failure-detection';

/** Kept with a verdict, the latest. */
const MOST_PROBES = 5;

/** What is to be done about an instance now: asked for until the catalog shows it. `return`: it was evicted, and answers. */
export interface CheckVerdict {
  readonly type: 'suspect' | 'revive' | 'return';
  readonly evidence: Evidence;
}

export interface CheckResults {
  /** Takes in a result; `instance` is what the catalog says now. */
  record(checked: Checked, result: ProbeResult, instance: Instance): CheckVerdict | undefined;
  isTurning(member: string): boolean;
  /** Instances that fail their checks. */
  failing(): readonly string[];
  /** Learns what the catalog holds against them, and forgets those who are gone or others now. */
  keep(all: readonly { readonly checked: Checked; readonly instance: Instance }[]): void;
}

/** Only answers to its check end that: what checks began, and the death of one that nobody else would bring back. */
const isHeldAgainst = ({ liveness, suspectedBy }: Instance): boolean =>
  liveness === 'dead' || (liveness === 'suspect' && suspectedBy === 'check');

/** Nobody fails. */
export function createCheckResults(): CheckResults {
  const watch = createProbeWatch();
  const known = new Map<string, { version: string; probes: ProbeResult[] }>();
  const nameOf = (member: string) => splitMember(member) ?? { service: '', id: member };

  return {
    record({ member, plan }, result, instance) {
      const { service, id } = instance;
      const answered = result.outcome === 'answered';
      const probes = [...(known.get(member)?.probes ?? []), result].slice(-MOST_PROBES);
      const memory = known.get(member);
      if (memory) memory.probes = probes;
      watch.record({ service, id, answered, detail: result.detail, settings: plan });
      const reason = watch.reasonOf(service, id);
      const shown = probes.map(({ kind, outcome, tookMs }) => ({ kind, outcome, tookMs }));
      if (reason !== undefined) {
        if (answered || instance.liveness !== 'alive') return undefined;
        return { type: 'suspect', evidence: { because: 'check-failed', detail: reason, probes: shown } };
      }
      if (!answered || !isHeldAgainst(instance)) return undefined;
      const detail = `it answers its check again: ${result.detail}`;
      const type = instance.liveness === 'dead' ? 'return' : 'revive';
      return { type, evidence: { because: 'check-answered', detail, probes: shown } };
    },
    isTurning(member) {
      const { service, id } = nameOf(member);
      return watch.isTurning(service, id);
    },
    failing: () => watch.out().map(({ service, id }) => `${service}/${id}`),
    keep(all) {
      const present = new Set<string>();
      for (const { checked, instance } of all) {
        const { member, version } = checked;
        present.add(member);
        if (known.get(member)?.version === version) continue;
        known.set(member, { version, probes: [] });
        watch.forget(instance.service, instance.id);
        if (!isHeldAgainst(instance)) continue;
        watch.adopt(instance.service, instance.id, instance.livenessReason ?? 'it fails its check');
      }
      for (const member of known.keys()) {
        if (present.has(member)) continue;
        known.delete(member);
        const { service, id } = nameOf(member);
        watch.forget(service, id);
      }
    },
  };
}
