// Which route takes a request? The most specific one that matches, in the order of the Kubernetes Gateway API
// (HTTPRouteRule): exact host before wildcard before any, longer path, named methods, more headers, then the name.
import type { TrafficRoute } from '@switchyard/protocol';
import type { ForwardDecision, RequestHead, RouteDecision, ServiceRules } from './engine.ts';
import { valueOf } from './header-list.ts';
import { normalisedPath } from './request-target.ts';

/** A route with its name. */
export interface NamedRoute {
  readonly name: string;
  readonly route: TrafficRoute;
}

/** What compiled routes need from outside. */
export interface RouterContext {
  /** A number in [0, 1), such as Math.random; draws among the services of a split. */
  readonly random: () => number;
  /** What the policy of the service says. */
  readonly rulesOf: (service: string) => ServiceRules;
  /** Ms of a duration such as "3s". */
  readonly durationMs: (text: string | undefined) => number | undefined;
}

/** Routes made ready; immutable, replaced when a route changes. */
export interface Router {
  /** The decision of the best match, or the refusal no_route. Allocates only when nothing matches. */
  route(head: RequestHead): RouteDecision;
  /** Every route in the order of specificity, with what does not match; for `routes:test` and refusals. */
  explain(head: RequestHead): readonly { readonly route: string; readonly mismatch: string | undefined }[];
}

interface CompiledRoute {
  readonly name: string;
  readonly hostRank: number;
  readonly host: string | undefined;
  readonly hostSuffix: string | undefined;
  readonly prefix: string;
  readonly methods: ReadonlySet<string> | undefined;
  readonly headers: readonly (readonly [string, string])[];
  readonly choices: readonly { readonly upTo: number; readonly decision: ForwardDecision }[];
  readonly total: number;
}

const whyListed = 16;

/** Makes routes ready. A route whose split has no weight at all never matches. */
export function compileRoutes(routes: readonly NamedRoute[], context: RouterContext): Router {
  const compiled = routes.map((named) => compile(named, context)).sort(bySpecificity);

  return {
    route(head) {
      for (const candidate of compiled) {
        if (matches(candidate, head)) return choose(candidate, context.random);
      }
      return refusal(head, compiled);
    },
    explain: (head) => compiled.map((candidate) => ({ route: candidate.name, mismatch: mismatchOf(candidate, head) })),
  };
}

function compile({ name, route }: NamedRoute, context: RouterContext): CompiledRoute {
  const host = route.host?.toLowerCase();
  const isWildcard = host?.startsWith('*.') ?? false;
  const prefix = normalisedPath(route.pathPrefix ?? '').replace(/\/+$/, '');
  const services = route.split ?? [{ service: route.service ?? '', weight: 1 }];
  let total = 0;
  const choices = services.map(({ service, weight }) => {
    total += weight;
    const decision: ForwardDecision = Object.freeze({
      action: route.action,
      route: name,
      service,
      redirectStatus: route.redirectStatus,
      stripPrefix: route.stripPrefix ? prefix : '',
      rules: context.rulesOf(service),
      responseMs: context.durationMs(route.timeouts?.response),
      idleMs: context.durationMs(route.timeouts?.idle),
    });
    return { upTo: total, decision };
  });
  return {
    name,
    hostRank: host === undefined ? 0 : isWildcard ? 1 : 2,
    host: isWildcard ? undefined : host,
    hostSuffix: isWildcard ? host?.slice(1) : undefined,
    prefix,
    methods: route.methods && new Set(route.methods),
    headers: Object.entries(route.headers ?? {}).map(([header, value]) => [header.toLowerCase(), value] as const),
    choices,
    total,
  };
}

function bySpecificity(one: CompiledRoute, other: CompiledRoute): number {
  return (
    other.hostRank - one.hostRank ||
    (other.hostSuffix?.length ?? 0) - (one.hostSuffix?.length ?? 0) ||
    other.prefix.length - one.prefix.length ||
    Number(other.methods !== undefined) - Number(one.methods !== undefined) ||
    other.headers.length - one.headers.length ||
    (one.name < other.name ? -1 : 1)
  );
}

function matches(route: CompiledRoute, head: RequestHead): boolean {
  return (
    route.total > 0 &&
    (route.host === undefined || route.host === head.host) &&
    (route.hostSuffix === undefined || head.host.endsWith(route.hostSuffix)) &&
    isUnder(route.prefix, head.path) &&
    (route.methods === undefined || route.methods.has(head.method)) &&
    (route.headers.length === 0 || route.headers.every(([name, value]) => valueOf(head.headers, name) === value))
  );
}

/** Segment by segment: /api covers /api, /api/ and /api/x, not /apix. */
export function isUnder(prefix: string, path: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || path.codePointAt(prefix.length) === 47;
}

function choose({ choices, total }: CompiledRoute, random: () => number): ForwardDecision {
  const drawn = choices.length === 1 ? 0 : random() * total;
  let last: ForwardDecision | undefined;
  for (const { upTo, decision } of choices) {
    last = decision;
    if (drawn < upTo) break;
  }
  // `matches` let only routes with some weight through, so there is a choice.
  return last as ForwardDecision;
}

function mismatchOf(route: CompiledRoute, head: RequestHead): string | undefined {
  if (route.host !== undefined && route.host !== head.host) return `it is for host ${route.host}`;
  if (route.hostSuffix !== undefined && !head.host.endsWith(route.hostSuffix))
    return `it is for hosts *${route.hostSuffix}`;
  if (!isUnder(route.prefix, head.path)) return `it is for paths under ${route.prefix}`;
  if (route.methods && !route.methods.has(head.method)) return `it is for ${[...route.methods].join(', ')}`;
  const header = route.headers.find(([name, value]) => valueOf(head.headers, name) !== value);
  if (header !== undefined) return `it needs the header ${header[0]}: ${header[1]}`;
  return route.total > 0 ? undefined : 'all services of its split have weight 0';
}

function refusal(head: RequestHead, compiled: readonly CompiledRoute[]): RouteDecision {
  const why = compiled
    .slice(0, whyListed)
    .map((candidate) => `route ${candidate.name}: ${mismatchOf(candidate, head) ?? 'it matches'}`);
  if (compiled.length > whyListed) why.push(`and ${compiled.length - whyListed} more routes`);
  if (compiled.length === 0) why.push('there are no routes');
  const host = head.host === '' ? '' : ` on host ${head.host}`;
  return {
    action: 'refuse',
    refusal: { code: 'no_route', detail: `No route takes ${head.method} ${head.path}${host}.`, why },
  };
}
