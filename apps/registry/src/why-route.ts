// `GET /v1/services/{service}/instances/{id}/why`
import { route } from '@switchyard/http';
import type { Route } from '@switchyard/http';
import { instanceIdSchema, instanceWhySchema, refuse, serviceNameSchema } from '@switchyard/protocol';
import { z } from 'zod';
import { whyInstance } from './why.ts';
import type { WhyOptions } from './why.ts';

/** The route over what a registry knows. */
export const whyRoute = (options: WhyOptions): Route =>
  route({
    method: 'get',
    path: '/v1/services/:service/instances/:id/why',
    summary: 'Why an instance is what it is: verdict, evidence, history, and what monitors and dispatchers say',
    tags: ['catalog'],
    params: z.object({ service: serviceNameSchema, id: instanceIdSchema }),
    responses: { 200: { description: 'The reasons', schema: instanceWhySchema } },
    async handle({ params }) {
      const why = await whyInstance(options, params);
      if (why) return { status: 200, body: why };
      return refuse(
        'not_found',
        `instance ${params.id} of service ${params.service} is not known, and was not lately`,
        {
          why: ['it is not in the catalog, and the latest 1,000 events do not name it'],
        },
      ).error;
    },
  });
