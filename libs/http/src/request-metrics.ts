// How many control requests are there, how do they end and how long do they take?
import type { Metrics } from '@switchyard/runtime';
import type { NextFunction, Request, Response } from 'express';

const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']);

/** Counts every response. Labels are bounded: route patterns, known methods, statuses. */
export const observeRequests = (metrics: Metrics, routeOf: (res: Response) => string | undefined) => {
  const requests = metrics.counter('http_requests_total', 'Control API requests', ['method', 'route', 'status']);
  const seconds = metrics.histogram('http_request_duration_seconds', 'Time to answer a control API request', [
    'method',
    'route',
  ]);
  return (req: Request, res: Response, next: NextFunction): void => {
    const startedMs = performance.now();
    res.once('close', () => {
      const method = knownMethods.has(req.method) ? req.method : 'OTHER';
      const route = routeOf(res) ?? 'none';
      // 499 as NGINX counts it: the client left before the answer.
      const status = res.writableFinished || res.headersSent ? res.statusCode : 499;
      requests.inc({ method, route, status });
      seconds.observe({ method, route }, (performance.now() - startedMs) / 1000);
    });
    next();
  };
};
