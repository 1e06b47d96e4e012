import { createMeters, type DataPlane, type DataPlaneStats } from '@switchyard/proxy';
import type { TableKeeper } from './table-keeper.ts';
import { trafficText } from './traffic-metrics.ts';

const stats: DataPlaneStats = {
  connections: 1,
  connectionsTotal: 2,
  connectionsDropped: 0,
  requestsTotal: 3,
  inFlight: 0,
  tunnels: 0,
  retriesTotal: 1,
  retriesRefusedTotal: 0,
  hedgesTotal: 6,
  queuedTotal: 8,
  queued: 2,
  redirectsTotal: 0,
  clientAbortsTotal: 0,
  truncatedTotal: 0,
  answersByClass: [0, 0, 5, 0, 0, 1],
  refusalsByCode: { no_route: 2 },
};
const ejections = { totals: { connect: 3, timeout: 0, reset: 0, 'gateway-error': 1 } };
const services = ['calm', 'alarmed', 'doubtful'].map((name) => [
  name,
  {
    name,
    panic: name === 'alarmed',
    lastResort: name === 'doubtful',
    warmUp: { sinceMs: new Map(name === 'calm' ? [['a', 1]] : []), nextChangeMs: Infinity },
  },
]);
const keeperOf = (table: object | undefined) => ({ current: () => table }) as unknown as Pick<TableKeeper, 'current'>;
const keeper = keeperOf({ services: new Map(services as [string, object][]) });
const ends = { answered: 5, refused: 3, timeout: 0, failed: 0, other: 0 };
const probes = { status: () => ({ probing: true, out: 1, ends }) };
const accessLog = { stats: () => ({ written: 9, dropped: 4, waitingBytes: 0 }) };
const plane = { name: 'traffic', stats: () => stats } as unknown as DataPlane;

describe('the metrics of the data plane', () => {
  it('are Prometheus text with one TYPE for each family and a value on each line', () => {
    const meters = createMeters();
    const meter = meters.of('shop', 'a"b');
    meter.requests = 7;
    meter.latency.record(3);
    const text = trafficText({ meters, planes: [plane], ejections, keeper, probes, accessLog });
    const lines = text.trimEnd().split('\n');
    for (const line of lines)
      expect(line).toMatch(
        /^# (HELP|TYPE) switchyard_dispatcher_\w+ .+$|^switchyard_dispatcher_\w+(\{.+\})? [\d.e+-]+$/,
      );
    const families = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]);
    expect(new Set(families).size).toBe(families.length);
    expect(text).toContain('switchyard_dispatcher_instance_requests_total{service="shop",instance="a\\"b"} 7\n');
    expect(text).toContain(
      'switchyard_dispatcher_instance_response_seconds_bucket{service="shop",instance="a\\"b",le="0.005"} 1\n',
    );
    expect(text).toContain('switchyard_dispatcher_answers_total{listener="traffic",class="2xx"} 5\n');
    expect(text).toContain('switchyard_dispatcher_ejections_total{reason="connect"} 3\n');
    expect(text).toContain('switchyard_dispatcher_hedges_total{listener="traffic"} 6\n');
    expect(text).toContain('switchyard_dispatcher_queued_total{listener="traffic"} 8\n');
    expect(text).toContain('switchyard_dispatcher_queued{listener="traffic"} 2\n');
    expect(text).toContain('switchyard_dispatcher_instance_stalled{service="shop",instance="a\\"b"} 0\n');
    expect(text).toContain('switchyard_dispatcher_probing 1\n');
    expect(text).toContain('switchyard_dispatcher_probed_out 1\n');
    expect(text).toContain('switchyard_dispatcher_probes_total{outcome="refused"} 3\n');
    expect(text).toContain('switchyard_dispatcher_access_log_lines_total 9\n');
    expect(text).toContain('switchyard_dispatcher_access_log_dropped_total 4\n');
    expect(text).toContain('switchyard_dispatcher_panic{service="calm"} 0\n');
    expect(text).toContain('switchyard_dispatcher_panic{service="alarmed"} 1\n');
    expect(text).toContain('switchyard_dispatcher_panic{service="doubtful"} 1\n');
    expect(text).toContain('switchyard_dispatcher_warming_instances{service="calm"} 1\n');
    expect(text).toContain('switchyard_dispatcher_refusals_total{listener="traffic",code="no_route"} 2\n');
  });

  it('are bounded by a number of instances', () => {
    const meters = createMeters();
    for (let index = 0; index < 1_005; index += 1) meters.of('shop', `i${index}`);
    const text = trafficText({ meters, planes: [], ejections, keeper: keeperOf(undefined) });
    expect(text).toContain('switchyard_dispatcher_metrics_omitted 5\n');
    expect(text).not.toContain('access_log');
    expect(text.match(/instance_requests_total\{/g)).toHaveLength(1_000);
  });
});
