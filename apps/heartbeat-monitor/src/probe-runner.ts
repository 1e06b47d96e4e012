// Who is asked now? Probes run beside the sweeps, so many at once; what they said waits for the next sweep.
import type { ProbeResult } from '@switchyard/failure-detection';
import type { Instance } from '@switchyard/protocol';
import type { Logger } from '@switchyard/runtime';

/** A crowd of thousands that refuses is through within a second; each is one socket for a moment. */
const MAX_AT_ONCE = 256;

export interface Probed {
  readonly member: string;
  readonly result: ProbeResult;
}

export interface ProbeRunner {
  /** It waits for its turn; once, however often it is asked for. */
  ask(member: string, patience: number): void;
  /** Begins as many as there is room for. */
  run(): void;
  /** What ended since the last time. Holds no more than one for each member that was asked for. */
  take(): Probed[];
}

/** Nobody is asked yet. */
export function createProbeRunner(options: {
  /** undefined when it is no longer known */
  readonly find: (member: string) => Instance | undefined;
  /** false when the probe that waits is of no use any more */
  readonly isWanted: (member: string) => boolean;
  readonly probe: (instance: Instance, patience: number) => Promise<ProbeResult>;
  /** `left`: how many are still to end */
  readonly ended: (result: ProbeResult, left: number) => void;
  readonly logger: Logger;
}): ProbeRunner {
  const { logger } = options;
  /** in their order; only such as are suspected still */
  const waiting = new Map<string, number>();
  const underWay = new Set<string>();
  let ended: Probed[] = [];

  const probe = async (member: string, patience: number): Promise<void> => {
    const instance = options.find(member);
    if (!instance) return;
    underWay.add(member);
    try {
      const result = await options.probe(instance, patience);
      ended.push({ member, result });
      options.ended(result, waiting.size + underWay.size - 1);
    } finally {
      underWay.delete(member);
      run();
    }
  };

  const run = (): void => {
    for (const [member, patience] of waiting) {
      if (underWay.size >= MAX_AT_ONCE) return;
      // its answer is on its way
      waiting.delete(member);
      if (underWay.has(member) || !options.isWanted(member)) continue;
      probe(member, patience).catch((error: unknown) => logger.warn({ err: error, member }, 'monitor.probe_failed'));
    }
  };

  return {
    ask: (member, patience) => waiting.set(member, patience),
    run,
    take() {
      const taken = ended;
      ended = [];
      return taken;
    },
  };
}
