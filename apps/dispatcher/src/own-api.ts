// What does the dispatcher serve at its own port? Its part of /v1, and the pages that the control listener shows.
import type { RequestListener } from 'node:http';
import { createApi } from '@switchyard/http';
import { platformService } from '@switchyard/protocol';
import { redisRefusal } from '@switchyard/redis';
import type { Clock, Health, Logger, Metrics } from '@switchyard/runtime';
import type { AccessLogWriter } from './access-log.ts';
import { createApiDocuments } from './api-documents.ts';
import { ownerApps } from './control-policy.ts';
import { dispatcherRoutes, type DispatcherRoutesOptions } from './dispatcher-routes.ts';
import type { Ejections } from './ejections.ts';
import { pageRoutes } from './page-routes.ts';
import { pickRoute } from './pick-route.ts';
import type { Probes } from './probes.ts';
import { routeTest } from './route-test.ts';
import type { TableKeeper } from './table-keeper.ts';
import { withTrafficMetrics } from './traffic-metrics.ts';
import type { Membership } from './workers/membership.ts';

/** The API; `ownOrigin` is where it will be served. */
export function createOwnApi(
  options: DispatcherRoutesOptions & {
    readonly keeper: TableKeeper;
    readonly ejections: Ejections;
    readonly probes: Pick<Probes, 'status'>;
    readonly accessLog: Pick<AccessLogWriter, 'stats'> | undefined;
    readonly member: Pick<Membership, 'health' | 'metrics'>;
    readonly notePick: (service: string) => void;
    readonly ownOrigin: () => string;
    readonly random: () => number;
    readonly clock: Clock;
    readonly health: Health;
    readonly metrics: Metrics;
    readonly logger: Logger;
  },
): RequestListener {
  const { keeper, member, version, clock, health, metrics, logger, random } = options;
  const originOf = (app: string): string | undefined =>
    app === 'dispatcher'
      ? options.ownOrigin()
      : keeper.current()?.services.get(platformService(app))?.picker.candidates[0]?.origin;
  const monotonicMs = (): number => clock.monotonicMs();
  const documents = createApiDocuments({ apps: ownerApps, originOf, version, monotonicMs, logger });
  return createApi({
    title: 'Switchyard dispatcher',
    version,
    routes: [
      ...dispatcherRoutes(options),
      pickRoute({ keeper, random, clock, notePick: options.notePick }),
      routeTest(keeper),
      ...pageRoutes({ keeper, documents, version }),
    ],
    health: member.health(health),
    metrics: member.metrics(withTrafficMetrics(metrics, options)),
    logger,
    errorToRefusal: redisRefusal,
  });
}
