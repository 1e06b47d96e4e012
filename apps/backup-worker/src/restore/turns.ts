// How many throw-away servers may there be at once? Two for what somebody waits for, and one beside them for what has time.
import { refuse, type Result } from '@switchyard/protocol';
import type { Clock } from '@switchyard/runtime';

/** Who waits. */
export interface TurnRequest {
  readonly what: string;
  readonly background: boolean;
  readonly signal: AbortSignal;
}

/** A bounded number of turns. */
export interface Turns {
  /** Waits for one, at most a minute; resolves with what ends it. Refuses with `overloaded`, naming who has them. */
  take(request: TurnRequest): Promise<Result<() => void>>;
}

const atOnce = 2;
const inBackground = 1;
const patienceMs = 60_000;
const lookEveryMs = 10;

/** Turns of one process. */
export function createTurns(clock: Clock): Turns {
  const taken = new Set<TurnRequest>();
  const isFree = ({ background }: TurnRequest): boolean => {
    const same = [...taken].filter((other) => other.background === background).length;
    return same < (background ? inBackground : atOnce);
  };
  return {
    take: async (request) => {
      const giveUpAtMs = clock.monotonicMs() + patienceMs;
      while (!isFree(request)) {
        if (clock.monotonicMs() >= giveUpAtMs)
          return refuse('overloaded', 'As many throw-away servers run as may.', {
            why: [...taken].map(({ what }) => what),
            next: 'Wait for one of them, or cancel it: GET /v1/operations lists what runs.',
          });
        await clock.sleep(lookEveryMs, request.signal);
      }
      taken.add(request);
      return { ok: true, value: () => void taken.delete(request) };
    },
  };
}
