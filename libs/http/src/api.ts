// How does a set of routes become a control API? Express 5 below, decoded requests and problem documents above.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Refusal } from '@switchyard/protocol';
import { withDeadline } from '@switchyard/runtime';
import type { Health, Logger, Metrics } from '@switchyard/runtime';
import express from 'express';
import type { NextFunction, Request, Response } from 'express';
import type { Locals } from './locals.ts';
import { localsOf } from './locals.ts';
import type { ErrorToRefusal } from './problem.ts';
import { instanceOf, internalRefusal, refusalOf, sendProblem } from './problem.ts';
import { decodeRequest, requireJson } from './request-decoding.ts';
import { sendReply } from './reply.ts';
import { observeRequests } from './request-metrics.ts';
import type { Route } from './route.ts';
import { expressPath } from './route.ts';
import { serviceRoutes } from './service-routes.ts';

/** What an API is made of. */
export interface ApiOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
  /** Tried in this order. */
  readonly routes: readonly Route[];
  readonly health: Health;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Ms until a handler that has not answered is given up with 504; 10000. */
  readonly requestTimeoutMs?: number;
  /** Largest JSON body; 256 KiB. */
  readonly maxBodyBytes?: number;
  /** Known I/O errors of this service, such as Redis that is away. */
  readonly errorToRefusal?: ErrorToRefusal;
  /**
   * Tried when no route answers, before 404 and 405; true when it has taken the request and answers by itself. Its body is unread.
   */
  readonly fallback?: (exchange: Exchange) => boolean | Promise<boolean>;
}

/** A request that no route answers. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: string;
}

const defaultTimeoutMs = 10_000;
const defaultMaxBodyBytes = 256 * 1024;
const saneRequestId = /^[A-Za-z0-9._:-]{1,128}$/;

/**
 * A listener that serves `routes` and the common ones (service-routes.ts). Every refusal and every error is problem+json; what an
 * unforeseen error says stays in the log. Nothing is opened here: give it to `httpServer`.
 */
export const createApi = (options: ApiOptions): RequestListener => {
  const routes = [...options.routes, ...serviceRoutes(options)];
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');

  app.use(greet);
  app.use(observeRequests(options.metrics, (res) => localsOf(res).route));
  const parseJson = express.json({
    limit: options.maxBodyBytes ?? defaultMaxBodyBytes,
    strict: false,
    type: () => true,
  });
  for (const one of routes) {
    const before = one.body === undefined ? [] : [requireJson, parseJson];
    app[one.method](expressPath(one.path), ...before, (req: Request, res: Response) => serve(one, req, res, options));
  }
  for (const path of new Set(routes.map((one) => one.path))) {
    const methods = routes.filter((one) => one.path === path).map((one) => one.method.toUpperCase());
    app.all(expressPath(path), (_req: Request, res: Response, next: NextFunction) => {
      const allowed = (localsOf(res).allowed ??= new Set(['OPTIONS']));
      for (const method of methods) allowed.add(method);
      if (allowed.has('GET')) allowed.add('HEAD');
      next();
    });
  }
  app.use((req: Request, res: Response) => answerUnrouted(req, res, options));
  app.use((error: unknown, req: Request, res: Response, _next: NextFunction) => fail(error, req, res, options));

  return (req, res) => {
    const malformed = (): void => {
      const occurrence = { requestId: requestIdOf(req), instance: instanceOf(req) };
      sendProblem(res, { code: 'malformed_request', detail: 'the request target is not a path' }, occurrence);
    };
    const target = originForm(req.url ?? '');
    if (target === undefined) {
      malformed();
      return;
    }
    req.url = target;
    // Express hands back what it cannot take apart.
    app(req as Request, res as Response, malformed);
  };
};

/** The path of a target in absolute form, which RFC 9112 3.2.2 has every server accept; undefined when it is no target. */
const originForm = (target: string): string | undefined => {
  if (target.startsWith('/')) return target;
  if (!/^https?:\/\//i.test(target) || !URL.canParse(target)) return undefined;
  const { pathname, search } = new URL(target);
  return pathname + search;
};

const requestIdOf = (req: IncomingMessage): string => {
  const given = req.headers['x-request-id'];
  return typeof given === 'string' && saneRequestId.test(given) ? given : randomUUID();
};

const greet = (req: Request, res: Response, next: NextFunction): void => {
  const requestId = requestIdOf(req);
  Object.assign(res.locals, { requestId, instance: instanceOf(req) } satisfies Locals);
  res.setHeader('x-request-id', requestId);
  res.setHeader('x-content-type-options', 'nosniff');
  res.setHeader('cache-control', 'no-store');
  next();
};

const serve = async (one: Route, req: Request, res: Response, options: ApiOptions): Promise<void> => {
  const locals = localsOf(res);
  locals.route = one.path;
  const decoded = decodeRequest(one, req);
  if ('refusal' in decoded) {
    sendReply(decoded, req, res);
    return;
  }
  const gone = new AbortController();
  res.once('close', () => gone.abort(new Error('the client went away')));
  const request = { ...decoded, headers: req.headers, requestId: locals.requestId, raw: { req, res } };
  const reply = await withDeadline(
    async (deadline) => await one.handle({ ...request, signal: AbortSignal.any([deadline, gone.signal]) }),
    one.timeoutMs ?? options.requestTimeoutMs ?? defaultTimeoutMs,
    `${req.method} ${one.path}`,
  );
  sendReply(reply, req, res);
};

const answerUnrouted = async (req: Request, res: Response, { fallback }: ApiOptions): Promise<void> => {
  const { requestId, allowed, instance } = localsOf(res);
  if (fallback && (await fallback({ req, res, requestId }))) return;
  if (allowed === undefined) {
    const refusal: Refusal = {
      code: 'not_found',
      detail: `nothing is served at ${instance}`,
      next: 'GET /v1/openapi.json lists every path',
    };
    sendProblem(res, refusal, localsOf(res));
    return;
  }
  const allow = [...allowed].toSorted().join(', ');
  if (req.method === 'OPTIONS') {
    res.status(204).setHeader('allow', allow).end();
    return;
  }
  const refusal: Refusal = {
    code: 'method_not_allowed',
    detail: `${req.method} is not possible at ${instance}`,
    why: [`allowed: ${allow}`],
  };
  sendProblem(res, refusal, { ...localsOf(res), headers: { allow } });
};

const fail = (error: unknown, req: Request, res: Response, { logger, errorToRefusal }: ApiOptions): void => {
  const locals = localsOf(res);
  const refusal = refusalOf(error, errorToRefusal);
  if (refusal === undefined) {
    logger.error(
      { requestId: locals.requestId, method: req.method, route: locals.route, err: error },
      'http.request_failed',
    );
  }
  if (res.destroyed || res.writableEnded) return;
  sendProblem(res, refusal ?? internalRefusal, locals);
};
