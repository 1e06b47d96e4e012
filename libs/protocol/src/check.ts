// How does one ask an instance whether it is well? As its owner says when it registers.
import { z } from 'zod';
import { durationSchema, parseDurationMs } from './duration.ts';

const says = (description: string): { readonly description: string } => ({ description });

const checkShape = {
  type: z
    .enum(['http', 'tcp', 'grpc', 'none'])
    .meta(
      says(
        'http: a GET that answers 2xx or 3xx; tcp: an open port; grpc: grpc.health.v1.Health/Check; none: never ask',
      ),
    ),
  path: z.string().max(1024).startsWith('/', 'must begin with "/"').optional().meta(says('http only; / unless given')),
  interval: durationSchema(200, 3_600_000)
    .optional()
    .meta(
      says(
        'asked all the time, so long apart; without it only when it is suspected. What it says over http or grpc counts as a heartbeat, so it needs no agent',
      ),
    ),
  timeout: durationSchema(10, 60_000)
    .optional()
    .meta(says('at most the interval; 500ms, or the interval if that is less, unless given')),
  rise: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .meta(says('with an interval: answers in a row after which one that failed is healthy again; 2 unless given')),
  fall: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .meta(says('with an interval: failures in a row after which it is suspected; 3 unless given')),
  grpcService: z
    .string()
    .max(256)
    .optional()
    .meta(says('grpc only: the service that is asked about; the whole server unless given')),
};

/** Settings that would have no effect, or contradict each other: whoever gives one expects something of it. */
function checkFaults(
  check: z.infer<z.ZodObject<typeof checkShape>>,
): readonly (readonly [field: string, fault: string])[] {
  const { type, path, interval, timeout, rise, fall, grpcService } = check;
  const intervalMs = parseDurationMs(interval ?? '');
  const timeoutMs = parseDurationMs(timeout ?? '');
  const faults: [string, string][] = [];
  if (path !== undefined && type !== 'http') {
    faults.push(['path', `only a check of type "http" has one, not "${type}"`]);
  }
  if (grpcService !== undefined && type !== 'grpc') {
    faults.push(['grpcService', `only a check of type "grpc" has one, not "${type}"`]);
  }
  if (type === 'none' && interval !== undefined) {
    faults.push(['interval', 'a check of type "none" asks for no probes, so it has none']);
  }
  if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs > intervalMs) {
    faults.push(['timeout', `must be at most the interval, ${interval}`]);
  }
  for (const [field, count] of Object.entries({ rise, fall })) {
    if (count !== undefined && interval === undefined) {
      faults.push([field, 'needs an interval: without one nobody probes in a row']);
    }
  }
  return faults;
}

/** How an instance is probed. */
export const checkSchema = z
  .strictObject(checkShape)
  .superRefine((check, context) => {
    for (const [field, message] of checkFaults(check)) context.addIssue({ code: 'custom', path: [field], message });
  })
  .meta({ id: 'Check' });
export type Check = z.infer<typeof checkSchema>;

/** As it lies in the catalog: tolerant, because it was checked when it came in. */
export const storedCheckSchema = z.object(checkShape);
