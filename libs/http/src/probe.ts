// Is there anybody at this address, and is it who we think? One connection, one answer, one deadline. Asked by a monitor about a
// suspect or all the time, and by a dispatcher about everybody when Redis is away.
import { parseDurationMs } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';
import type { Asking, Ending, ProbeEnd, Question } from './probe-ending.ts';
import { askOverGrpc } from './probe-grpc.ts';
import { askOverHttp } from './probe-http.ts';
import { askOverTcp } from './probe-tcp.ts';

const ask: Readonly<Record<ProbeEnd['kind'], (question: Question, timeoutMs: number) => Asking>> = {
  http: askOverHttp,
  tcp: askOverTcp,
  grpc: askOverGrpc,
};

/** Probes an instance as its `check` says, by TCP when it says nothing. Never rejects; takes at most its timeout. */
export async function probe(instance: Instance, defaultTimeoutMs: number): Promise<ProbeEnd> {
  const check = instance.check ?? { type: 'tcp' };
  const kind = check.type === 'none' ? 'tcp' : check.type;
  const timeoutMs = (check.timeout === undefined ? undefined : parseDurationMs(check.timeout)) ?? defaultTimeoutMs;
  // put behind the address, not resolved against it: the path //other/ would be another host
  const url = URL.parse(instance.url + (check.path ?? '/'));
  if (!url) return { kind, tookMs: 0, outcome: 'failed', detail: 'its address is none', heard: false };
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const end = (ending: Ending): void => {
      clearTimeout(timer);
      connection.destroy();
      resolve({ kind, tookMs: Math.round(performance.now() - startedMs), heard: false, ...ending });
    };
    const timer = setTimeout(
      () => end({ outcome: 'timeout', detail: `its address gave no answer in ${timeoutMs} ms` }),
      timeoutMs,
    );
    const connection = ask[kind]({ instance, url, end }, timeoutMs);
  });
}
