// Does anybody accept connections there? The kernel does it for a process that hangs, so an answer says little.
import { connect } from 'node:net';
import { faultOf } from './probe-ending.ts';
import type { Asking, Question } from './probe-ending.ts';

/** Connects, and that is all. */
export function askOverTcp({ url, end }: Question): Asking {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  return connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port })
    .on('connect', () => end({ outcome: 'answered', detail: 'its port accepts connections' }))
    .on('error', (error) => end(faultOf(error)));
}
