// How busy do instances say they are, and how do many of them beat at once? None of it is in the catalog.
import { z } from 'zod';
import { heartbeatMessageSchema, instanceViewSchema, loadReportSchema } from './instance.ts';

/** A load report as it is kept in `keys.loads`; `atMs`: when a registry got it, Unix ms on its clock, for people. */
export const storedLoadSchema = loadReportSchema.extend({ atMs: z.number() });
export type StoredLoad = z.infer<typeof storedLoadSchema>;

/** An instance as the registry shows it: with what it said about itself lately. */
export const observedInstanceSchema = instanceViewSchema
  .extend({
    load: loadReportSchema
      .extend({ at: z.iso.datetime() })
      .nullable()
      .meta({ description: 'the latest report of at most a minute ago; null when there is none' }),
    warnings: z.array(z.string()).meta({ description: 'what people should know and nobody acts upon' }),
  })
  .meta({ id: 'ObservedInstance' });
export type ObservedInstance = z.infer<typeof observedInstanceSchema>;

export const largestHeartbeatBatch = 1_000;

/** Body of `POST /v1/heartbeats`: beats of many instances, of one host for example. */
export const heartbeatBatchSchema = z
  .strictObject({ beats: z.array(heartbeatMessageSchema).min(1).max(largestHeartbeatBatch) })
  .meta({ id: 'HeartbeatBatch' });
export type HeartbeatBatch = z.infer<typeof heartbeatBatchSchema>;

/** Its answer: those that are not known, whose owners register them again. */
export const heartbeatBatchAnswerSchema = z
  .object({ unknown: z.array(z.object({ service: z.string(), id: z.string() })) })
  .meta({ id: 'HeartbeatBatchAnswer' });
