// Is there anybody at this address, and is it who we think? One connection, one answer, one deadline. Asked by a monitor about a
// suspect, and by a dispatcher about everybody when Redis is away.
import { get } from 'node:http';
import { get as getOverTls } from 'node:https';
import { connect } from 'node:net';
import type { IncomingMessage } from 'node:http';
import { parseDurationMs } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';

/** How a probe ended. `answered`: the instance itself; `other`: its address answers as somebody else. */
export interface ProbeEnd {
  readonly kind: 'http' | 'tcp';
  readonly outcome: 'answered' | 'refused' | 'timeout' | 'failed' | 'other';
  readonly tookMs: number;
  /** For people, about the instance: "its address refuses connections". */
  readonly detail: string;
}

type Ending = Pick<ProbeEnd, 'outcome' | 'detail'>;

const faultOf = (error: NodeJS.ErrnoException): Ending =>
  error.code === 'ECONNREFUSED'
    ? { outcome: 'refused', detail: 'its address refuses connections' }
    : { outcome: 'failed', detail: `its address cannot be reached: ${error.code ?? error.message}` };

function answerOf(instance: Instance, response: IncomingMessage): Ending {
  const claimed = response.headers['switchyard-instance'];
  const status = response.statusCode ?? 0;
  if (typeof claimed === 'string' && claimed !== instance.id) {
    return { outcome: 'other', detail: `its address answers as ${claimed.slice(0, 128)}` };
  }
  if (status >= 200 && status < 400) return { outcome: 'answered', detail: `its check answered ${status}` };
  return { outcome: 'failed', detail: `its check answered ${status}` };
}

/** Probes an instance as its `check` says, by TCP when it says nothing. Never rejects; takes at most its timeout. */
export async function probe(instance: Instance, defaultTimeoutMs: number): Promise<ProbeEnd> {
  const check = instance.check ?? { type: 'tcp' };
  const kind = check.type === 'http' ? 'http' : 'tcp';
  const timeoutMs = (check.timeout === undefined ? undefined : parseDurationMs(check.timeout)) ?? defaultTimeoutMs;
  // put behind the address, not resolved against it: the path //other/ would be another host
  const url = URL.parse(instance.url + (check.path ?? '/'));
  if (!url) return { kind, tookMs: 0, outcome: 'failed', detail: 'its address is none' };
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const end = (ending: Ending): void => {
      clearTimeout(timer);
      connection.destroy();
      resolve({ kind, tookMs: Math.round(performance.now() - startedMs), ...ending });
    };
    const timer = setTimeout(
      () => end({ outcome: 'timeout', detail: `its address gave no answer in ${timeoutMs} ms` }),
      timeoutMs,
    );
    const onError = (error: NodeJS.ErrnoException): void => end(faultOf(error));
    const secure = url.protocol === 'https:';
    const port = Number(url.port || (secure ? 443 : 80));
    const connection =
      kind === 'http'
        ? (secure ? getOverTls : get)(url, { agent: false }, (response) => end(answerOf(instance, response))).on(
            'error',
            onError,
          )
        : connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port })
            .on('connect', () => end({ outcome: 'answered', detail: 'its port accepts connections' }))
            .on('error', onError);
  });
}
