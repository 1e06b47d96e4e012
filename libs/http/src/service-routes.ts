// What does every service answer besides its own API? /livez, /readyz, /metrics and /v1/openapi.json.
import type { Health, Metrics } from '@switchyard/runtime';
import { z } from 'zod';
import { openApiDocument } from './openapi.ts';
import type { OpenApiOptions } from './openapi.ts';
import type { Route } from './route.ts';
import { route } from './route.ts';

const readinessSchema = z
  .object({
    ready: z.boolean(),
    phase: z.string(),
    why: z.array(z.string()),
    checks: z
      .record(
        z.string(),
        z.object({
          ok: z.boolean(),
          detail: z.string().optional(),
          critical: z.boolean().optional(),
          sinceUnixMs: z.number(),
        }),
      )
      .optional(),
  })
  .meta({ id: 'Readiness' });

/** The common routes. They are documented like all others. */
export const serviceRoutes = (
  options: OpenApiOptions & { readonly health: Health; readonly metrics: Metrics },
): Route[] => {
  const { health, metrics } = options;
  const routes: Route[] = [
    route({
      method: 'get',
      path: '/livez',
      summary: 'Is the process alive? Never looks at dependencies',
      tags: ['service'],
      responses: { 200: { description: 'It is', mediaType: 'text/plain' } },
      handle: () => ({ status: 200, body: 'ok\n', headers: { 'content-type': 'text/plain; charset=utf-8' } }),
    }),
    route({
      method: 'get',
      path: '/readyz',
      summary: 'May it take work? With ?verbose each check and its detail',
      tags: ['service'],
      query: z.object({ verbose: z.string().optional() }),
      responses: {
        200: { description: 'It may', schema: readinessSchema },
        503: { description: 'It may not; why names each reason' },
      },
      handle: ({ query }) => {
        const { ready, phase, why, checks } = health.report();
        const verbose = query.verbose !== undefined && query.verbose !== 'false';
        const state = { ready, phase, ...(verbose && { checks }) };
        if (ready) return { status: 200, body: { ...state, why } };
        const detail = `the service does not take work: ${why.join('; ')}`;
        return { refusal: { code: 'not_ready', detail, why }, extensions: state };
      },
    }),
    route({
      method: 'get',
      path: '/metrics',
      summary: 'Metrics in the Prometheus text format',
      tags: ['service'],
      responses: { 200: { description: 'All metrics', mediaType: 'text/plain' } },
      handle: async () => ({
        status: 200,
        body: await metrics.text(),
        headers: { 'content-type': metrics.contentType },
      }),
    }),
    route({
      method: 'get',
      path: '/v1/openapi.json',
      summary: 'This API as OpenAPI 3.1',
      tags: ['service'],
      responses: { 200: { description: 'The document' } },
      handle: () => ({ status: 200, body: document() }),
    }),
  ];
  let made: object | undefined;
  const document = (): object => (made ??= openApiDocument({ ...options, routes: [...options.routes, ...routes] }));
  return routes;
};
