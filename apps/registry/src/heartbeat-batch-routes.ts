// How does somebody beat for many instances at once, and what does a client hear that asks for a liveness connection by plain HTTP?
import { route } from '@switchyard/http';
import type { Route } from '@switchyard/http';
import {
  heartbeatBatchAnswerSchema,
  heartbeatBatchSchema,
  livenessPath,
  livenessProtocol,
  memberOf,
  refuse,
  splitMember,
} from '@switchyard/protocol';
import type { HeartbeatBatch } from './heartbeat-batch.ts';
import type { LivenessLoads } from './liveness-loads.ts';

/** `POST /v1/heartbeats` and the plain answer of `GET /v1/liveness`. */
export const heartbeatRoutes = (beats: HeartbeatBatch, loads: LivenessLoads): readonly Route[] => [
  route({
    method: 'post',
    path: '/v1/heartbeats',
    summary: 'Signs of life of up to 1000 instances; register again those that the answer names',
    tags: ['catalog'],
    body: heartbeatBatchSchema,
    responses: { 200: { description: 'Heard, but for those that are unknown', schema: heartbeatBatchAnswerSchema } },
    handle: async ({ body }) => {
      const members = body.beats.map(({ service, id }) => memberOf(service, id));
      const unknown = new Set(await beats.beatAll(members));
      body.beats.forEach(({ load }, i) => {
        const member = members[i];
        if (load && member !== undefined && !unknown.has(member)) loads.report(member, load);
      });
      return { status: 200, body: { unknown: [...unknown].map((member) => splitMember(member)) } };
    },
  }),
  route({
    method: 'get',
    path: livenessPath,
    summary: 'The liveness connection of an agent: answers only to an upgrade of the protocol',
    description: `Ask with \`Connection: Upgrade\` and \`Upgrade: ${livenessProtocol}\`; then one JSON document a line, both ways.`,
    tags: ['catalog'],
    responses: { 101: { description: 'The protocol was changed' }, 426: { description: 'No upgrade was asked for' } },
    handle: () => {
      const { error } = refuse('upgrade_required', `${livenessPath} speaks ${livenessProtocol}, not plain HTTP`, {
        next: `ask with Connection: Upgrade and Upgrade: ${livenessProtocol}, or beat by POST /v1/heartbeats`,
      });
      return { refusal: error, headers: { upgrade: livenessProtocol, connection: 'upgrade' } };
    },
  }),
];
