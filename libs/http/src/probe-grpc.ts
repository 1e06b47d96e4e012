// Does the health service of a gRPC server say SERVING? One call of grpc.health.v1.Health/Check, in clear HTTP/2 or over TLS.
import { connect } from 'node:http2';
import type { IncomingHttpHeaders } from 'node:http2';
import { grpcCodeName, healthCheckPath, healthRequest, healthStatus, longestHealthReply } from './grpc-health.ts';
import { faultOf, impostor } from './probe-ending.ts';
import type { Asking, Ending, Question } from './probe-ending.ts';

const failed = (detail: string): Ending => ({ outcome: 'failed', detail });

/** A call that waits for its connection fails with that of the connection as its cause. */
function lostBy(error: NodeJS.ErrnoException): Ending {
  const cause = (error.cause as NodeJS.ErrnoException | undefined) ?? error;
  return cause.code?.startsWith('ERR_HTTP2') === true ? failed('its address does not speak HTTP/2') : faultOf(cause);
}

/** What the status of the call says, be it in the trailers or, of a call that failed at once, in the head. */
function endingOf(headers: IncomingHttpHeaders, reply: Buffer): Ending {
  const status = headers['grpc-status'];
  if (typeof status !== 'string') return failed('its health service broke off');
  const heard = true;
  if (status === '12') return { ...failed('it has no gRPC health service'), heard };
  if (status !== '0') return { ...failed(`its health service answered ${grpcCodeName(status)}`), heard };
  const read = healthStatus(reply);
  if ('fault' in read) return { ...failed(`its health service answered ${read.fault}`), heard };
  const outcome = read.status === 'SERVING' ? 'answered' : 'failed';
  return { outcome, detail: `its health service says ${read.status}`, heard };
}

/** Asks on a connection of its own. `timeoutMs` is told to the server, too. */
export function askOverGrpc({ instance, url, end }: Question, timeoutMs: number): Asking {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: IncomingHttpHeaders = {};
  const onError = (error: NodeJS.ErrnoException): void => end(lostBy(error));
  const session = connect(url.origin, { maxSessionMemory: 1 }).on('error', onError);
  const call = session.request({
    ':method': 'POST',
    ':path': healthCheckPath,
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': `${timeoutMs}m`,
  });
  call
    .on('response', (headers) => {
      head = headers;
      const other = impostor(instance, headers['switchyard-instance']);
      if (other) end(other);
      else if (headers[':status'] !== 200) end(failed(`its health service answered HTTP ${headers[':status']}`));
    })
    .on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > longestHealthReply) end(failed('its health service answered with more than a status'));
      else chunks.push(chunk);
    })
    .on('trailers', (trailers) => (head = trailers))
    .on('end', () => end(endingOf(head, Buffer.concat(chunks))))
    .on('error', onError)
    .on('close', () => end(failed('its address closed the connection')))
    .end(healthRequest(instance.check?.grpcService ?? ''));
  return session;
}
