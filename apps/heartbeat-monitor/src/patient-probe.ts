// How long may an instance take to answer? As long as its check says, or the monitor; longer for a monitor that doubts itself.
import { setTimeout as pause } from 'node:timers/promises';
import type { ProbeResult } from '@switchyard/failure-detection';
import { probe } from '@switchyard/http';
import type { ProbeEnd } from '@switchyard/http';
import { formatDurationMs, parseDurationMs } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';

/**
 * A process that is killed closes its sockets one by one: who comes before its listener is closed gets a connection, which is cut
 * off then. So what only the kernel has said is asked once more, a little later.
 */
const closingMs = 25;

/** Probes an instance; `patience` (1 to 72) makes its time-out as many times as long. Never rejects. */
export const patientProbe =
  (timeoutMs: number) =>
  async (instance: Instance, patience: number): Promise<ProbeResult> => {
    const first = await probeWith(instance, { timeoutMs, patience });
    const isSure = first.heard || (first.outcome !== 'failed' && first.outcome !== 'answered');
    if (isSure || first.tookMs > 4 * closingMs) return first;
    await pause(closingMs);
    return probeWith(instance, { timeoutMs, patience });
  };

function probeWith(
  instance: Instance,
  { timeoutMs, patience }: { readonly timeoutMs: number; readonly patience: number },
): Promise<ProbeEnd> {
  const ownMs = instance.check?.timeout === undefined ? undefined : parseDurationMs(instance.check.timeout);
  if (!instance.check || ownMs === undefined || patience === 1) return probe(instance, timeoutMs * patience);
  const check = { ...instance.check, timeout: formatDurationMs(ownMs * patience) };
  return probe({ ...instance, check }, timeoutMs);
}
