// How long may an instance take to answer? As long as its check says, or the monitor; longer for a monitor that doubts itself.
import type { ProbeResult } from '@switchyard/failure-detection';
import { probe } from '@switchyard/http';
import { formatDurationMs, parseDurationMs } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';

/** Probes an instance; `patience` (1 to 9) makes its time-out as many times as long. Never rejects. */
export const patientProbe =
  (timeoutMs: number) =>
  async (instance: Instance, patience: number): Promise<ProbeResult> => {
    const ownMs = instance.check?.timeout === undefined ? undefined : parseDurationMs(instance.check.timeout);
    if (!instance.check || ownMs === undefined || patience === 1) return probe(instance, timeoutMs * patience);
    const check = { ...instance.check, timeout: formatDurationMs(ownMs * patience) };
    return probe({ ...instance, check }, timeoutMs);
  };
