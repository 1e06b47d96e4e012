// What may be wrong with the Sentinels of a group? Each suspicion with the time for which it has to last before it is said.
import { addressKey, sameAddress, type Address } from './address.ts';
import type { GroupProblem } from './group-problems.ts';
import { isSeen, type GroupObservation, type SentinelObservation, type TopologyLimits } from './observation.ts';
import type { PrimaryVerdict } from './primary-verdict.ts';
import type { SentinelView } from './sentinel-parser.ts';

/** What is looked at. */
export interface AilmentInput {
  readonly group: GroupObservation;
  readonly verdict: PrimaryVerdict;
  readonly limits: TopologyLimits;
  readonly nowMs: number;
}

/** A suspicion; the same `key` is the same suspicion from look to look. */
export interface Suspicion {
  readonly key: string;
  readonly patienceMs: number;
  readonly problem: GroupProblem;
}

/** A Sentinel that answers and knows the group. */
export interface AwareSentinel extends SentinelObservation {
  readonly view: SentinelView;
}

/** Greetings go around every 2 s. */
const greetingMs = 10_000;
/** Shorter than most restarts, long enough for a failover to settle. */
const staleMs = 15_000;
const settleMs = 3_000;
const usualDownAfterMs = 30_000;

export const suspicion = (
  problem: Pick<GroupProblem, 'code' | 'detail' | 'next'>,
  more: { readonly about?: string; readonly patienceMs?: number; readonly advice?: boolean } = {},
): Suspicion => ({
  key: `${problem.code} ${more.about ?? ''}`,
  patienceMs: more.patienceMs ?? 0,
  problem: { ...problem, advice: more.advice ?? false },
});

/** Those that count at this moment. */
export const awareSentinels = ({ group, nowMs, limits }: AilmentInput): readonly AwareSentinel[] =>
  group.sentinels.flatMap((one) =>
    one.view !== null && isSeen(one, nowMs, limits.staleAfterMs) ? [{ ...one, view: one.view }] : [],
  );

/** Who disagrees with whom, and who does not know whom. */
export const disagreements = (input: AilmentInput): readonly Suspicion[] => {
  const aware = awareSentinels(input);
  const { name } = input.group;
  const found: Suspicion[] = [];
  const camp = aware.filter(({ view }) => sameAddress(view.primary, input.verdict.named));
  const said = (pick: (view: SentinelView) => number | null, some = aware): readonly string[] => [
    ...new Set(some.map(({ view }) => String(pick(view)))),
  ];
  const each = (pick: (view: SentinelView) => number | null): string =>
    aware.map((one) => `${one.name} ${String(pick(one.view))}`).join(', ');
  if (said((view) => view.epoch, camp).length > 1) {
    const detail = `the Sentinels name the same primary at different epochs: ${each((view) => view.epoch)}`;
    const next = 'see whether they hear each other through the primary: the channel __sentinel__:hello';
    found.push(suspicion({ code: 'sentinel_epochs_differ', detail, next }, { patienceMs: greetingMs }));
  }
  const settings = [
    ['quorum', (view: SentinelView) => view.quorum],
    ['down-after-milliseconds', (view: SentinelView) => view.downAfterMs],
    ['failover-timeout', (view: SentinelView) => view.failoverTimeoutMs],
  ] as const;
  for (const [setting, pick] of settings) {
    if (said(pick).length < 2) continue;
    const detail = `the Sentinels have different ${setting}: ${each(pick)}`;
    const next = `SENTINEL SET holds for one Sentinel only: SENTINEL SET ${name} ${setting} <value> on each, or PUT the group with the value and manage`;
    found.push(
      suspicion(
        { code: 'sentinel_settings_differ', detail, next },
        { about: setting, patienceMs: settleMs, advice: true },
      ),
    );
  }
  for (const one of aware) {
    const strangers = aware.filter(
      (other) =>
        other !== one && !one.peers.some((peer) => sameAddress(peer, other)) && one.peers.length < aware.length - 1,
    );
    if (strangers.length === 0) continue;
    const list = strangers.map((other) => other.name).join(', ');
    const detail = `Sentinel ${one.name} does not know ${list}: it counts a smaller crowd`;
    const next =
      'let both reach the primary, through which they greet each other; check announce-ip and announce-port of both';
    found.push(
      suspicion({ code: 'sentinels_unacquainted', detail, next }, { about: one.name, patienceMs: greetingMs }),
    );
  }
  return found;
};

/** What Sentinels remember that is not there any more, or see that nobody else does. */
export const leftovers = (input: AilmentInput): readonly Suspicion[] => {
  const { group, verdict, nowMs, limits } = input;
  const aware = awareSentinels(input);
  const seen = (at: Address): boolean =>
    [...group.nodes, ...group.sentinels].some((one) => sameAddress(one, at) && isSeen(one, nowMs, limits.staleAfterMs));
  const listed = group.nodes
    .filter((node) => isSeen(node, nowMs, limits.staleAfterMs))
    .flatMap((node) => node.info?.replicas ?? []);
  const isDown = ({ flags }: { readonly flags: readonly string[] }): boolean =>
    flags.includes('s_down') || flags.includes('disconnected');
  const found = new Map<string, Suspicion>();
  const add = (one: Suspicion): void => void found.set(one.key, one);
  const reset = `SENTINEL RESET ${group.name} on one Sentinel after the other, 30 s apart, while the group is well`;
  for (const one of aware) {
    for (const replica of one.replicas.filter(isDown)) {
      if (seen(replica) || listed.some((at) => sameAddress(at, replica))) continue;
      const at = addressKey(replica);
      const detail = `the Sentinels still list the replica ${at}, which nobody reaches and no node knows`;
      add(
        suspicion(
          { code: 'stale_replica', detail, next: `start it again; if it is gone for good: ${reset}` },
          { about: at, patienceMs: staleMs, advice: true },
        ),
      );
    }
    for (const peer of one.peers.filter(isDown)) {
      if (seen(peer)) continue;
      const at = addressKey(peer);
      const detail = `the Sentinel ${at} is dead and still counts: a majority is ${String(verdict.quorum.needed)} of ${String(group.sentinels.length)}`;
      add(
        suspicion(
          { code: 'stale_sentinel', detail, next: `start it again; if it is gone for good: ${reset}` },
          { about: at, patienceMs: staleMs },
        ),
      );
    }
  }
  return [...found.values()];
};

/** Where our own way to somebody and that of the others differ. */
export const blindSpots = (input: AilmentInput): readonly Suspicion[] => {
  const { group, verdict, nowMs, limits } = input;
  const aware = awareSentinels(input);
  const found: Suspicion[] = [];
  const primary = group.nodes.find((node) => sameAddress(node, verdict.named));
  const primarySeen =
    primary !== undefined && isSeen(primary, nowMs, limits.staleAfterMs) && primary.info?.role === 'primary';
  const blind = aware.filter(({ view }) => view.flags.includes('s_down'));
  if (primarySeen && blind.length > 0 && 2 * blind.length <= aware.length) {
    for (const one of blind) {
      const detail = `Sentinel ${one.name} takes the primary for down; we and the other Sentinels reach it`;
      const next = `check its network, and its user: SENTINEL SET ${group.name} auth-pass <password> (PUT with manage and the password tells new ones only)`;
      found.push(
        suspicion({ code: 'sentinel_sees_primary_down', detail, next }, { about: one.name, patienceMs: settleMs }),
      );
    }
  }
  const downAfterMs = Math.max(...aware.map(({ view }) => view.downAfterMs ?? usualDownAfterMs), 0);
  const patienceMs = 2 * downAfterMs + settleMs;
  const unreached = (one: { readonly failure: unknown } & Parameters<typeof isSeen>[0]): boolean =>
    !isSeen(one, nowMs, limits.staleAfterMs);
  const announce =
    'if it is behind NAT or in a container, let it announce an address that all reach: replica-announce-ip and -port, sentinel announce-ip and -port, or a 1:1 port mapping';
  for (const node of group.nodes.filter(unreached)) {
    const known = aware.flatMap((one) => one.replicas.filter((replica) => sameAddress(replica, node)));
    const isPrimary = sameAddress(node, verdict.named);
    const fine = isPrimary
      ? aware.length > 0 && aware.every(({ view }) => !view.flags.includes('s_down'))
      : known.length > 0 && known.every(({ flags }) => !flags.includes('s_down') && !flags.includes('disconnected'));
    if (!fine) continue;
    const detail = `${node.name} is announced as ${addressKey(node)}: the Sentinels reach it there, this process does not`;
    found.push(
      suspicion({ code: 'address_unreachable_here', detail, next: announce }, { about: node.name, patienceMs }),
    );
  }
  for (const one of group.sentinels.filter(unreached)) {
    const known = aware.flatMap((other) => other.peers.filter((peer) => sameAddress(peer, one)));
    if (known.length === 0 || known.some(({ flags }) => flags.includes('s_down') || flags.includes('disconnected')))
      continue;
    const detail = `Sentinel ${addressKey(one)} is reached there by the other Sentinels, not by this process`;
    found.push(
      suspicion({ code: 'address_unreachable_here', detail, next: announce }, { about: addressKey(one), patienceMs }),
    );
  }
  return found;
};
