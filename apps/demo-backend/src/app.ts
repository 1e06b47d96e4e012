// Which request gets which answer? The demonstration's own addresses first; all others belong to the common control API.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { misdirected } from '@switchyard/agent';
import type { Refusal } from '@switchyard/protocol';
import { sendProblem } from '@switchyard/http';
import type { Logger, Metrics } from '@switchyard/runtime';
import { echo, hello, slow, status, stream, whoami } from './answers.ts';
import type { Answer, Answerer } from './answers.ts';

export interface DemoAppOptions extends Answerer {
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Answers everything else: /livez, /readyz, /metrics, and 404 for what nobody knows. */
  readonly platform: RequestListener;
}

interface Endpoint {
  readonly name: string;
  readonly answer: Answer;
  /** Undefined: any method, to show how it arrives. */
  readonly methods?: readonly string[];
}

const reading = ['GET', 'HEAD'];
const endpoints: Readonly<Record<string, Endpoint>> = {
  '/': { name: '/', answer: hello, methods: reading },
  '/whoami': { name: '/whoami', answer: whoami },
  '/slow': { name: '/slow', answer: slow },
  '/echo': { name: '/echo', answer: echo },
  '/stream': { name: '/stream', answer: stream, methods: reading },
};
const statusEndpoint: Endpoint = { name: '/status/:code', answer: status };

const endpointAt = (path: string): Endpoint | undefined =>
  Object.hasOwn(endpoints, path) ? endpoints[path] : path.startsWith('/status/') ? statusEndpoint : undefined;

/** Path and query of a target in origin form, or in absolute form, which RFC 9112 3.2.2 has every server accept. */
const targetOf = (req: IncomingMessage): { readonly path: string; readonly query: URLSearchParams } => {
  const target = req.url ?? '/';
  const absolute = target.startsWith('/') ? null : URL.parse(target);
  const text = absolute ? absolute.pathname + absolute.search : target;
  const mark = text.indexOf('?');
  return mark < 0
    ? { path: text, query: new URLSearchParams() }
    : { path: text.slice(0, mark), query: new URLSearchParams(text.slice(mark)) };
};

/** The listener of one demonstration back end. Every answer names the instance in `Switchyard-Instance`. */
export const createDemoApp = (options: DemoAppOptions): RequestListener => {
  const { id, metrics, logger, platform } = options;
  const requests = metrics.counter('demo_requests_total', 'Requests to the demonstration, by address', ['endpoint']);
  let served = 0;

  const answer = async (endpoint: Endpoint, req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const { path, query } = targetOf(req);
    try {
      const refusal = await endpoint.answer({ req, res, path, query, served }, options);
      if (refusal) refuseRequest(req, res, { path, refusal });
    } catch (error) {
      logger.error({ endpoint: endpoint.name, err: error }, 'demo.request_failed');
      const refusal: Refusal = { code: 'internal', detail: 'the request failed for a reason that is in the log' };
      refuseRequest(req, res, { path, refusal });
    }
  };

  return (req, res) => {
    // A probe reads this to see that its address was not taken over by another process.
    res.setHeader('Switchyard-Instance', id);
    const { path } = targetOf(req);
    const refusal = misdirected(req.headers['switchyard-instance'], id);
    if (refusal) {
      refuseRequest(req, res, { path, refusal });
      return;
    }
    const endpoint = endpointAt(path);
    if (!endpoint) {
      platform(req, res);
      return;
    }
    served += 1;
    requests.inc({ endpoint: endpoint.name });
    if (endpoint.methods && !endpoint.methods.includes(req.method ?? '')) {
      const allow = endpoint.methods.join(', ');
      const detail = `${req.method ?? 'that method'} is not possible at ${path}`;
      res.setHeader('allow', allow);
      refuseRequest(req, res, { path, refusal: { code: 'method_not_allowed', detail, why: [`allowed: ${allow}`] } });
      return;
    }
    void answer(endpoint, req, res);
  };
};

const saneRequestId = /^[A-Za-z0-9._:-]{1,128}$/;

const refuseRequest = (
  req: IncomingMessage,
  res: ServerResponse,
  { path, refusal }: { readonly path: string; readonly refusal: Refusal },
): void => {
  if (res.destroyed || res.writableEnded) return;
  const given = req.headers['x-request-id'];
  const requestId = typeof given === 'string' && saneRequestId.test(given) ? given : randomUUID();
  res.setHeader('x-request-id', requestId);
  sendProblem(res, refusal, { requestId, instance: path.slice(0, 512) });
};
