// Which endpoints does an active/standby service have? Who is active, planned hand-over, and whether a fencing token still holds.
import { activationOf, activeOf, decideActivation, isGoverned, isHolder, presentInstance } from '@switchyard/catalog';
import type { CatalogView, GovernedService } from '@switchyard/catalog';
import { route } from '@switchyard/http';
import type { Reply, Route } from '@switchyard/http';
import {
  activeViewSchema,
  fenceBodySchema,
  fenceViewSchema,
  handoverBodySchema,
  handoverViewSchema,
  refuse,
  serviceNameSchema,
} from '@switchyard/protocol';
import type { ActiveView, Refusal } from '@switchyard/protocol';
import { z } from 'zod';
import { handOver, notGoverned } from './handover.ts';
import type { HandoverContext } from './handover.ts';
import { answerFrom } from './reading.ts';

const params = z.object({ service: serviceNameSchema });
const tags = ['catalog'];
const nobody = { epoch: 0, revision: 0 };

const unknown = (service: string): Refusal => refuse('not_found', `there is no service named ${service}`).error;

/** Why nobody is active, in words. */
function whyNobody(service: GovernedService, nowMs: number): string {
  const vacant = activationOf(service.settings)?.vacant;
  if (vacant) return vacant.reason;
  const verdict = decideActivation(service, nowMs);
  if (verdict.type === 'keep') return 'the active one is about to be confirmed';
  return verdict.type === 'activate'
    ? `${verdict.chosen.id} is about to be activated: ${verdict.reason}`
    : verdict.reason;
}

/** Who is active as the view has it; a refusal for a service that is none, or not active/standby. */
function activeIn(view: CatalogView, name: string, nowMs: number): ActiveView | Refusal {
  const settings = view.policyOf(name);
  const instances = [...view.instancesOf(name)];
  if (!settings && instances.length === 0) return unknown(name);
  if (!isGoverned(settings)) return notGoverned(name).error;
  const service = { name, settings, instances };
  const activation = activationOf(settings);
  const active = activeOf(service);
  const sinceMs = active ? activation?.sinceMs : activation?.vacant?.sinceMs;
  return {
    service: name,
    active: active ? presentInstance(active) : null,
    fencingToken: activation?.fencingToken ?? null,
    since: sinceMs === undefined ? null : new Date(sinceMs).toISOString(),
    reason: active ? (activation?.reason ?? '') : whyNobody(service, nowMs),
  };
}

/** Whether `token` is the newest of the service and its holder lives: asked of Redis itself, because a copy may be behind. */
async function checkFence({ store, feed }: HandoverContext, service: string, token: number): Promise<Reply> {
  const settings = await store.readService(service);
  const activation = activationOf(settings);
  const holder = activation && (await store.readInstance(service, activation.id));
  if ((await store.raiseEpoch(nobody)).type !== 'fine') {
    return refuse('not_ready', 'Redis is another process than before and may have forgotten tokens', {
      why: ['its next epoch begins within half a second'],
    }).error;
  }
  if (!settings)
    return feed.view.policyOf(service) ? refuse('not_ready', 'the catalog is being read').error : unknown(service);
  if (!isGoverned(settings)) return notGoverned(service).error;
  if (!activation) return refuse('conflict', `no instance of service ${service} was ever activated`).error;
  const newest = activation.fencingToken;
  const extensions = { fencingToken: newest, active: activation.id };
  if (token > newest) {
    const detail = `${token} was never given out in service ${service}: its newest token is ${newest}`;
    return { refusal: refuse('conflict', detail).error, extensions };
  }
  if (token < newest) {
    const detail = `${activation.id} was activated with the newer token ${newest}`;
    return { refusal: refuse('stale_token', detail, { why: [activation.reason] }).error, extensions };
  }
  if (!holder || !isHolder(holder, activation) || holder.liveness === 'dead') {
    const why = activation.vacant?.reason ?? (holder?.livenessReason || `${activation.id} is not active any more`);
    const detail = `${activation.id} has lost its role, and nobody has taken over yet`;
    return { refusal: refuse('stale_token', detail, { why: [why] }).error, extensions };
  }
  return { status: 200, body: { ok: true, service, id: activation.id, fencingToken: newest } };
}

/** Routes below `/v1/services/{service}` for active/standby. */
export const activationRoutes = (context: HandoverContext): Route[] => [
  route({
    method: 'get',
    path: '/v1/services/:service/active',
    summary: 'The active instance of an active/standby service, and the newest fencing token',
    tags,
    params,
    responses: { 200: { description: 'Who is active, or why nobody is', schema: activeViewSchema } },
    handle: ({ params: { service } }) =>
      answerFrom(context.feed, (view) => {
        const found = activeIn(view, service, context.clock.unixMs());
        return 'code' in found ? found : { status: 200, body: found };
      }),
  }),
  route({
    method: 'post',
    path: '/v1/services/:service/handover',
    summary: 'Makes another instance the active one, without losing a request',
    description:
      'New requests go to the new one from one revision to the next; the old one is a standby and finishes what it has. ' +
      'Without "to", the best standby. When "to" is active already, nothing changes.',
    tags,
    params,
    body: handoverBodySchema.prefault({}),
    responses: { 200: { description: 'Who is active now', schema: handoverViewSchema } },
    handle: async ({ params: { service }, body }) => {
      const handed = await handOver(context, service, body);
      if (!handed.ok) return handed.error;
      const { active, ...done } = handed.value;
      const fencingToken = body.dryRun ? null : (active.fencingToken ?? null);
      return {
        status: 200,
        body: { service, ...done, dryRun: body.dryRun, active: presentInstance(active), fencingToken },
      };
    },
  }),
  route({
    method: 'post',
    path: '/v1/services/:service/fence',
    summary: 'Whether a fencing token is still the newest one; 409 stale_token when somebody else has taken over',
    tags,
    params,
    body: fenceBodySchema,
    responses: { 200: { description: 'It is, and its holder is not taken for dead', schema: fenceViewSchema } },
    handle: ({ params: { service }, body }) => checkFence(context, service, body.fencingToken),
  }),
];
