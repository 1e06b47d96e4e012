// Where would a request go, and why? Asked of the same router that decides for real, without sending anything.
import { route, type Route } from '@switchyard/http';
import { refuse, type Result } from '@switchyard/protocol';
import { hostOf, parseRequestTarget, type RequestHead, type RouteDecision } from '@switchyard/proxy';
import { z } from 'zod';
import type { RoutingTable } from './routing-table.ts';
import type { TableKeeper } from './table-keeper.ts';

const testSchema = z
  .object({
    request: z.object({ method: z.string(), host: z.string(), path: z.string() }),
    route: z.string().nullable().meta({ description: 'the route that takes it; null when none does' }),
    action: z.enum(['proxy', 'redirect', 'refuse']),
    service: z.string().nullable(),
    forwardedPath: z.string().nullable(),
    candidates: z.array(z.object({ id: z.string(), url: z.string(), picked: z.boolean(), why: z.string().nullable() })),
    routes: z.array(z.object({ route: z.string(), mismatch: z.string().nullable() })).meta({
      description: 'every route, the most specific first, with what does not match',
    }),
    why: z.array(z.string()),
  })
  .meta({ id: 'RouteTest' });

/** `GET /v1/routes:test?method=&url=[&header=Name: value]`. */
export const routeTest = (keeper: TableKeeper): Route =>
  route({
    method: 'get',
    path: '/v1/routes:test',
    summary: 'Where a request would go: the route, the service, every candidate and its reason',
    tags: ['dispatcher'],
    query: z.strictObject({
      method: z
        .string()
        .regex(/^[A-Za-z]{1,20}$/, 'must be a method such as GET')
        .default('GET'),
      url: z.string().min(1).max(4_096),
      header: z
        .union([
          z
            .string()
            .max(1_024)
            .transform((one) => [one]),
          z.array(z.string().max(1_024)).max(16),
        ])
        .default([]),
    }),
    responses: { 200: { description: 'The decision', schema: testSchema } },
    handle({ query }) {
      const table = keeper.current();
      if (!table) return refuse('not_ready', 'the dispatcher has no routing table yet').error;
      const head = headOf({ method: query.method.toUpperCase(), url: query.url, header: query.header });
      return head.ok ? { status: 200, body: testOf(table, head.value) } : head.error;
    },
  });

function headOf(asked: {
  readonly method: string;
  readonly url: string;
  readonly header: readonly string[];
}): Result<RequestHead> {
  const target = parseRequestTarget(asked.url, asked.method);
  if (typeof target === 'string') return refuse('invalid_input', `url: ${target}`, { why: [`url: ${target}`] });
  const headers: string[] = [];
  for (const line of asked.header) {
    const at = line.indexOf(':');
    if (at < 1)
      return refuse('invalid_input', 'header: must be "Name: value"', { why: ['header: must be "Name: value"'] });
    headers.push(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  return {
    ok: true,
    value: { method: asked.method, host: hostOf(target.authority ?? ''), path: target.path, headers },
  };
}

function testOf(table: RoutingTable, head: RequestHead): z.infer<typeof testSchema> {
  const decision = table.router.route(head);
  const { method, host, path } = head;
  const forwards = decision.action !== 'refuse';
  return {
    request: { method, host, path },
    route: forwards ? decision.route : null,
    action: decision.action,
    service: forwards ? decision.service : null,
    forwardedPath: forwards ? path.slice(decision.stripPrefix.length) || '/' : null,
    candidates: candidatesOf(table, decision),
    routes: table.router
      .explain(head)
      .map(({ route: name, mismatch }) => ({ route: name, mismatch: mismatch ?? null })),
    why: forwards ? [] : [...(decision.refusal.why ?? [])],
  };
}

function candidatesOf(table: RoutingTable, decision: RouteDecision): z.infer<typeof testSchema>['candidates'] {
  if (decision.action === 'refuse') return [];
  const entry = table.services.get(decision.service);
  const reasons = new Map(entry?.whyNot.map(({ id, reason }) => [id, reason]));
  return (entry?.instances ?? []).map(({ id, url }) => ({
    id,
    url,
    picked: !reasons.has(id),
    why: reasons.get(id) ?? null,
  }));
}
