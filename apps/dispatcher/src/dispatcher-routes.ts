// What does this dispatcher tell about itself and all others, and about the requests that went wrong at any of them?
import { route, type Route } from '@switchyard/http';
import { decode, DISPATCHER_STALE_MS, dispatcherStateSchema, refuse, type Refusal } from '@switchyard/protocol';
import type { DispatcherBoard } from '@switchyard/redis';
import { withDeadline } from '@switchyard/runtime';
import { z } from 'zod';
import { askedByHeader, type FleetPeers } from './fleet-peers.ts';
import { dispatcherState, type DispatcherParts } from './fleet-state.ts';
import { outcomeSchema, type OutcomeView } from './request-view.ts';
import type { OutcomeReader } from './workers/membership.ts';

const dispatcherSchema = dispatcherStateSchema
  .extend({
    self: z.boolean().meta({ description: 'whether it is the one that answers' }),
    ageMs: z.int().meta({ description: 'since it told this; 0 for the one that answers' }),
    stale: z.boolean().meta({ description: 'not heard for 5 s; it disappears after 15 s' }),
  })
  .meta({ id: 'Dispatcher' });
type Shown = z.infer<typeof dispatcherSchema>;
const completeness = {
  partial: z.boolean().meta({ description: 'whether something is missing; problems says what' }),
  problems: z.array(z.string()),
};
const requestsSchema = z.object({ requests: z.array(outcomeSchema), ...completeness });
const requestId = z.string().min(1).max(128);
const boardDeadlineMs = 400;

/** What the routes look at. */
export interface DispatcherRoutesOptions extends DispatcherParts {
  readonly outcomes: OutcomeReader;
  readonly board: Pick<DispatcherBoard, 'states'>;
  readonly peers: FleetPeers;
}

/** `/v1/dispatchers`, `/v1/dispatchers/{id}`, `/v1/requests`, `/v1/requests/{requestId}/why`: the same at every dispatcher. */
export const dispatcherRoutes = (options: DispatcherRoutesOptions): Route[] => {
  const { id, outcomes, peers } = options;
  const own = (): Shown => ({ ...dispatcherState(options), self: true, ageMs: 0, stale: false });

  return [
    route({
      method: 'get',
      path: '/v1/dispatchers',
      summary: 'Every dispatcher: its table, its listeners, and what each instance does for it',
      description:
        'The one that answers comes first and is as it is now; the others are as they told at most a second ago.',
      tags: ['dispatcher'],
      responses: {
        200: {
          description: 'Their state',
          schema: z.object({ dispatchers: z.array(dispatcherSchema), ...completeness }),
        },
      },
      handle: async () => {
        const { shown, problems } = await others(options);
        const dispatchers = [own(), ...shown];
        return { status: 200, body: { dispatchers, partial: problems.length > 0, problems } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/dispatchers/:id',
      summary: 'One dispatcher',
      tags: ['dispatcher'],
      params: z.object({ id: z.string().min(1).max(128) }),
      responses: { 200: { description: 'Its state', schema: dispatcherSchema } },
      handle: async ({ params }) => {
        if (params.id === id) return { status: 200, body: own() };
        const { shown, problems } = await others(options);
        const found = shown.find((one) => one.id === params.id);
        return found ? { status: 200, body: found } : unknownDispatcher(params.id, problems);
      },
    }),
    route({
      method: 'get',
      path: '/v1/requests',
      summary:
        'The latest requests that were refused, retried, cut or left by their client, newest first, of all dispatchers',
      tags: ['dispatcher'],
      query: z.strictObject({ limit: z.coerce.number().int().min(1).max(1_000).default(50) }),
      responses: { 200: { description: 'Requests', schema: requestsSchema } },
      handle: async ({ query: { limit }, headers }) => {
        const mine = await outcomes.latest(limit);
        if (headers[askedByHeader] !== undefined) {
          return { status: 200, body: { requests: [...mine], partial: false, problems: [] } };
        }
        const { answers, problems } = await peers.ask(`/v1/requests?limit=${limit}`);
        const theirs = answers.flatMap(({ body }) => {
          const decoded = decode(requestsSchema, body);
          return decoded.ok ? decoded.value.requests : [];
        });
        const requests = [...mine, ...theirs].toSorted(newestFirst).slice(0, limit);
        return { status: 200, body: { requests, partial: problems.length > 0, problems } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/requests/:requestId/why',
      summary: 'Why a request was refused, retried, cut or left: every attempt and its reason, at whichever dispatcher',
      tags: ['dispatcher'],
      params: z.object({ requestId }),
      responses: { 200: { description: 'What happened', schema: outcomeSchema } },
      async handle({ params, headers }) {
        const found = await outcomes.find(params.requestId);
        if (found) return { status: 200, body: found };
        if (headers[askedByHeader] !== undefined)
          return unknownRequest(params.requestId, { outcomes, asked: 0, problems: [] });
        const { answers, asked, problems } = await peers.ask(
          `/v1/requests/${encodeURIComponent(params.requestId)}/why`,
        );
        const theirs = answers.flatMap(({ body }) => {
          const decoded = decode(outcomeSchema, body);
          return decoded.ok ? [decoded.value] : [];
        });
        const [latest] = theirs.toSorted(newestFirst);
        return latest ? { status: 200, body: latest } : unknownRequest(params.requestId, { outcomes, asked, problems });
      },
    }),
  ];
};

const newestFirst = (one: OutcomeView, other: OutcomeView): number =>
  one.started < other.started ? 1 : one.started > other.started ? -1 : 0;

/** The others as they told. Never rejects: with Redis gone they are not known, and that is said. */
async function others({ id, board }: Pick<DispatcherRoutesOptions, 'id' | 'board'>): Promise<{
  readonly shown: readonly Shown[];
  readonly problems: readonly string[];
}> {
  try {
    const heard = await withDeadline(board.states(), boardDeadlineMs, 'the look at the other dispatchers');
    const problems: string[] = [];
    const shown = heard.flatMap(({ id: other, ageMs, told }) => {
      if (other === id) return [];
      if (told === undefined) problems.push(`${other} has told nothing that can be read here`);
      return told ? [{ ...told, self: false, ageMs, stale: ageMs >= DISPATCHER_STALE_MS }] : [];
    });
    return { shown: shown.toSorted((one, other) => (one.id < other.id ? -1 : 1)), problems };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      shown: [],
      problems: [`Redis cannot be asked, so other dispatchers are not known: ${reason.slice(0, 200)}`],
    };
  }
}

function unknownDispatcher(id: string, problems: readonly string[]): Refusal {
  if (problems.length > 0) {
    return refuse('redis_unavailable', `whether there is a dispatcher ${id} is not known`, { why: problems }).error;
  }
  return refuse('not_found', `no dispatcher ${id} was heard in the last 15 s`, {
    next: 'GET /v1/dispatchers lists those that were',
  }).error;
}

function unknownRequest(
  request: string,
  {
    outcomes,
    asked,
    problems,
  }: { readonly outcomes: OutcomeReader; readonly asked: number; readonly problems: readonly string[] },
): Refusal {
  const each = asked > 0 ? `this dispatcher and ${asked} others keep` : 'this dispatcher keeps';
  return refuse('not_found', `nothing is known about the request ${request}`, {
    why: [
      'requests that simply went well are counted, not kept',
      `${each} the last ${outcomes.capacity} that did not`,
      ...problems,
    ],
    next: 'GET /v1/requests lists those that are kept',
  }).error;
}
