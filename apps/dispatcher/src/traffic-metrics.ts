// What do the counters of the data plane look like to Prometheus? Rendered at each scrape from plain numbers, so that a
// request costs no metric object. Names and units: prometheus.io/docs/practices/naming.
import type { FailureKind } from '@switchyard/failure-detection';
import type { DataPlane, InstanceMeter, Meters } from '@switchyard/proxy';
import type { Metrics } from '@switchyard/runtime';
import type { AccessLogStats, AccessLogWriter } from './access-log.ts';
import { panicOf } from './panic.ts';
import type { Probes, ProbesStatus } from './probes.ts';
import type { TableKeeper } from './table-keeper.ts';
import type { ServiceEntry } from './targets.ts';

/** Instances beyond this are left out of the text and counted in `switchyard_dispatcher_metrics_omitted`. */
const mostInstances = 1_000;
/** The same for services. */
const mostServices = 1_000;
const bucketSeconds: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type Labels = Readonly<Record<string, string>>;
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly read: (meter: InstanceMeter) => number;
}

const perInstance: readonly Family[] = [
  { name: 'requests_total', help: 'Attempts sent to the instance', type: 'counter', read: (meter) => meter.requests },
  { name: 'errors_total', help: 'Attempts that failed by its fault', type: 'counter', read: (meter) => meter.errors },
  { name: 'server_errors_total', help: 'Answers with 5xx', type: 'counter', read: (meter) => meter.serverErrors },
  {
    name: 'retries_total',
    help: 'Attempts after a failure elsewhere',
    type: 'counter',
    read: (meter) => meter.retries,
  },
  {
    name: 'stale_connections_total',
    help: 'Kept connections that were closed at the moment of reuse',
    type: 'counter',
    read: (meter) => meter.staleConnections,
  },
  { name: 'in_flight', help: 'Requests under way', type: 'gauge', read: (meter) => meter.inFlight },
  {
    name: 'stalled',
    help: '1 while it says nothing although requests wait',
    type: 'gauge',
    read: (meter) => Number(meter.stalled),
  },
  { name: 'tunnels', help: 'Upgraded connections', type: 'gauge', read: (meter) => meter.tunnels },
];

/** What is rendered. */
export interface TrafficSources {
  readonly meters: Meters;
  readonly planes: readonly DataPlane[];
  readonly ejections: { readonly totals: Readonly<Record<FailureKind, number>> };
  readonly keeper: Pick<TableKeeper, 'current'>;
  readonly probes?: Pick<Probes, 'status'>;
  readonly accessLog?: Pick<AccessLogWriter, 'stats'> | undefined;
}

/** The metrics of the service with those of the data plane behind them. */
export function withTrafficMetrics(metrics: Metrics, sources: TrafficSources): Metrics {
  return {
    ...metrics,
    contentType: metrics.contentType,
    text: async () => (await metrics.text()) + trafficText(sources),
  };
}

/** The Prometheus text of the data plane. */
export function trafficText({ meters, planes, ejections, keeper, probes, accessLog }: TrafficSources): string {
  const instances: { readonly labels: Labels; readonly meter: InstanceMeter }[] = [];
  let omitted = 0;
  meters.each((service, instance, meter) => {
    if (instances.length < mostInstances) instances.push({ labels: { service, instance }, meter });
    else omitted += 1;
  });
  const lines: string[] = [];
  for (const { name, help, type, read } of perInstance) {
    begin(lines, `instance_${name}`, { help, type });
    for (const { labels, meter } of instances) lines.push(sample(`instance_${name}`, labels, read(meter)));
  }
  begin(lines, 'instance_response_seconds', { help: 'Until the head of the answer', type: 'histogram' });
  for (const { labels, meter } of instances) histogram(lines, labels, meter);
  listenerLines(lines, planes);
  begin(lines, 'ejections_total', { help: 'Instances left out for a moment, by what they did', type: 'counter' });
  for (const [reason, count] of Object.entries(ejections.totals)) {
    lines.push(sample('ejections_total', { reason }, count));
  }
  if (probes) probeLines(lines, probes.status());
  if (accessLog) accessLogLines(lines, accessLog.stats());
  omitted += serviceLines(lines, [...(keeper.current()?.services.values() ?? [])]);
  const many = 'Instances and services that are not shown because there are too many';
  begin(lines, 'metrics_omitted', { help: many, type: 'gauge' });
  lines.push(sample('metrics_omitted', {}, omitted));
  return `${lines.join('\n')}\n`;
}

function probeLines(lines: string[], { probing, out, ends }: ProbesStatus): void {
  begin(lines, 'probing', { help: '1 while Redis is away and instances are asked from here', type: 'gauge' });
  lines.push(sample('probing', {}, Number(probing)));
  begin(lines, 'probed_out', { help: 'Instances that probes from here speak against', type: 'gauge' });
  lines.push(sample('probed_out', {}, out));
  begin(lines, 'probes_total', { help: 'Probes from here, by how they ended', type: 'counter' });
  for (const [outcome, count] of Object.entries(ends)) lines.push(sample('probes_total', { outcome }, count));
}

function accessLogLines(lines: string[], { written, dropped, waitingBytes }: AccessLogStats): void {
  const metric = (name: string, help: string, value: number): void => {
    begin(lines, `access_log_${name}`, { help, type: name.endsWith('_total') ? 'counter' : 'gauge' });
    lines.push(sample(`access_log_${name}`, {}, value));
  };
  metric('lines_total', 'Requests written to the access log', written);
  metric('dropped_total', 'Lines that the access log lost because its destination was slow or full', dropped);
  metric('waiting_bytes', 'Bytes of the access log that wait in memory', waitingBytes);
}

// How many services were not shown.
function serviceLines(lines: string[], services: readonly ServiceEntry[]): number {
  const shown = services.slice(0, mostServices);
  const family = (name: string, help: string, read: (entry: ServiceEntry) => number): void => {
    begin(lines, name, { help, type: 'gauge' });
    for (const entry of shown) lines.push(sample(name, { service: entry.name }, read(entry)));
  };
  family('panic', '1 while too few would be left: nobody is left out, or suspects are used', (entry) =>
    panicOf(entry) === undefined ? 0 : 1,
  );
  family(
    'warming_instances',
    'Instances that have just come and get a growing share',
    ({ warmUp }) => warmUp.sinceMs.size,
  );
  return services.length - shown.length;
}

function histogram(lines: string[], labels: Labels, { latency }: InstanceMeter): void {
  for (const bound of bucketSeconds) {
    lines.push(
      sample('instance_response_seconds_bucket', { ...labels, le: String(bound) }, latency.countUpTo(bound * 1_000)),
    );
  }
  lines.push(sample('instance_response_seconds_bucket', { ...labels, le: '+Inf' }, latency.count));
  lines.push(sample('instance_response_seconds_sum', labels, latency.sumMs / 1_000));
  lines.push(sample('instance_response_seconds_count', labels, latency.count));
}

function listenerLines(lines: string[], planes: readonly DataPlane[]): void {
  const all = planes.map((plane) => ({ labels: { listener: plane.name }, stats: plane.stats() }));
  const family = (name: string, help: string, read: (stats: (typeof all)[number]['stats']) => number): void => {
    begin(lines, name, { help, type: name.endsWith('_total') ? 'counter' : 'gauge' });
    for (const { labels, stats } of all) lines.push(sample(name, labels, read(stats)));
  };
  family('connections', 'Client connections open', (stats) => stats.connections);
  family('connections_total', 'Client connections accepted', (stats) => stats.connectionsTotal);
  family('connections_dropped_total', 'Client connections beyond the limit', (stats) => stats.connectionsDropped);
  family('requests_total', 'Requests of clients', (stats) => stats.requestsTotal);
  family('requests_in_flight', 'Requests of clients under way', (stats) => stats.inFlight);
  family('retries_total', 'Second and further attempts', (stats) => stats.retriesTotal);
  family('retries_refused_total', 'Attempts beyond the retry budget', (stats) => stats.retriesRefusedTotal);
  family('hedges_total', 'Requests asked of a second instance too', (stats) => stats.hedgesTotal);
  family('queued_total', 'Requests that waited until an instance had room', (stats) => stats.queuedTotal);
  family('queued', 'Requests that wait for room now', (stats) => stats.queued);
  family('redirects_total', 'Requests answered with a redirect', (stats) => stats.redirectsTotal);
  family(
    'client_aborts_total',
    'Clients that left before their answer was complete',
    (stats) => stats.clientAbortsTotal,
  );
  family('truncated_total', 'Answers that broke off within their body', (stats) => stats.truncatedTotal);
  begin(lines, 'answers_total', { help: 'Answers of instances by class', type: 'counter' });
  for (const { labels, stats } of all) {
    for (const [index, count] of stats.answersByClass.entries()) {
      if (index > 0) lines.push(sample('answers_total', { ...labels, class: `${index}xx` }, count));
    }
  }
  begin(lines, 'refusals_total', { help: 'Requests refused by the dispatcher itself', type: 'counter' });
  for (const { labels, stats } of all) {
    for (const [code, count] of Object.entries(stats.refusalsByCode))
      lines.push(sample('refusals_total', { ...labels, code }, count));
  }
}

const prefix = 'switchyard_dispatcher_';

function begin(lines: string[], name: string, { help, type }: { readonly help: string; readonly type: string }): void {
  lines.push(`# HELP ${prefix}${name} ${help}`, `# TYPE ${prefix}${name} ${type}`);
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${text.replace(/["\\\n]/g, '\\$&')}"`);
  return `${prefix}${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
}
