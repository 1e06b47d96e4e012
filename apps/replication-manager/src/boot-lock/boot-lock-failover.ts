// How is a primary that came back without its data replaced? By the Sentinels, who are asked for it: they choose and they promote.
import { sameAddress, parseSentinelView, type Endpoint, type PrimaryVerdict } from '@switchyard/replication';
import type { GroupTools } from '../group-part.ts';

/** Asks for a failover away from a node. */
export interface FailoverRequest {
  /** Asks unless it was asked lately. `refusal`: why nothing may be begun, if so. */
  ask(from: Endpoint, verdict: PrimaryVerdict, refusal: string | null): void;
  /** Why it was not done; empty when it was. */
  outcome(): string;
}

const againMs = 5_000;
/** Time for the Sentinels to do it, while nothing else is begun. */
const doneMs = 10_000;

/** Asks the Sentinels of a group, one after the other, until one of them does it. */
export const createFailoverRequest = ({
  gate,
  clock,
  logger,
  sentinels,
  definition,
}: Pick<GroupTools, 'gate' | 'clock' | 'logger' | 'definition'> & {
  readonly sentinels: GroupTools['sentinels'];
}): FailoverRequest => {
  const group = definition.name;
  let askedAtMs = -Infinity;
  let outcome = '';

  const ask = async (from: Endpoint): Promise<string> => {
    const begun = await gate.begin(`failover away from ${from.name}, which came back behind the others`);
    if (!begun.ok) return begun.error.detail;
    const reasons: string[] = [];
    try {
      for (const sentinel of sentinels()) {
        try {
          // Compared once more at the last moment: another manager may have asked already.
          const view = parseSentinelView(await sentinel.master());
          if (!sameAddress(view?.primary ?? null, from)) return 'the Sentinels name another primary already';
          await sentinel.call('SENTINEL', 'FAILOVER', group);
          logger.warn({ group, from: from.name, sentinel: sentinel.name }, 'redis.failover_asked');
          await clock.sleep(doneMs);
          return '';
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          reasons.push(`${sentinel.name}: ${reason}`);
          if (reason.includes('INPROG')) return '';
        }
      }
      return reasons.join('; ');
    } finally {
      begun.value.release();
    }
  };

  return {
    ask(from, verdict, refusal) {
      if (refusal !== null || !verdict.quorum.ok) {
        outcome = refusal ?? 'the Sentinels have no quorum';
        return;
      }
      if (clock.monotonicMs() - askedAtMs < againMs) return;
      askedAtMs = Infinity;
      void ask(from)
        .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
        .then((said) => {
          outcome = said;
          askedAtMs = clock.monotonicMs();
        });
    },
    outcome: () => outcome,
  };
};
