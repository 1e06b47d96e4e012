// How does one ask an instance whether it is well? As its owner says when it registers.
import { z } from 'zod';
import { durationSchema, parseDurationMs } from './duration.ts';

const checkShape = {
  /** `grpc` is the standard health service, grpc.health.v1 */
  type: z.enum(['http', 'tcp', 'grpc', 'none']),
  path: z.string().max(1024).startsWith('/', 'must begin with "/"').optional(),
  /** given: probed all the time, so long apart; else only when it is suspected. An answer over http or grpc counts as a heartbeat */
  interval: durationSchema(200, 3_600_000).optional(),
  timeout: durationSchema(10, 60_000).optional(),
  /** with an interval: answers in a row after which a failing instance is healthy again; 2 */
  rise: z.int().min(1).max(100).optional(),
  /** with an interval: failures in a row after which it is suspected; 3 */
  fall: z.int().min(1).max(100).optional(),
  /** `grpc` only: the service asked about; the whole server unless given */
  grpcService: z.string().max(256).optional(),
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
