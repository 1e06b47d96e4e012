import { describe, expect, it } from '@jest/globals';
import { createMetrics } from './metrics.ts';

describe('metrics', () => {
  it('are Prometheus text with the prefix of Switchyard', async () => {
    const metrics = createMetrics();
    metrics.counter('beats_total', 'Beats').inc();
    metrics.counter('switchyard_beats_total', 'Beats').inc(2);
    metrics.counter('events_total', 'Events', ['type']).inc({ type: 'evicted' }, 3);
    metrics.gauge('instances', 'Instances', ['state']).set({ state: 'alive' }, 5);
    metrics.histogram('lag_seconds', 'Lag', { buckets: [1, 2] }).observe(1.5);

    const lines = (await metrics.text()).split('\n');

    expect(lines).toEqual(
      expect.arrayContaining([
        'switchyard_beats_total 3',
        'switchyard_events_total{type="evicted"} 3',
        'switchyard_instances{state="alive"} 5',
        'switchyard_lag_seconds_bucket{le="1"} 0',
        'switchyard_lag_seconds_bucket{le="2"} 1',
        'switchyard_lag_seconds_sum 1.5',
      ]),
    );
  });

  it('of two services in one process know nothing of each other', async () => {
    createMetrics().counter('beats_total', 'Beats').inc();

    expect(await createMetrics().text()).not.toContain('beats_total');
  });

  it('are made once for a name; another shape of the same name is a defect', () => {
    const metrics = createMetrics();
    const first = metrics.counter('beats_total', 'Beats', ['service']);

    expect(metrics.counter('beats_total', 'Beats', ['service'])).toBe(first);
    expect(() => metrics.counter('beats_total', 'Beats', ['id'])).toThrow('exists already as counter(service)');
    expect(() => metrics.gauge('beats_total', 'Beats', ['service'])).toThrow('exists already as counter(service)');
  });

  it('keep a bound on their series: what is beyond it is counted as "other"', async () => {
    const metrics = createMetrics();
    const counter = metrics.counter('requests_total', 'Requests', { labels: ['path'], maxSeries: 2 });
    for (const path of ['/a', '/b', '/c', '/d', '/a']) counter.inc({ path });
    counter.remove({ path: '/b' });
    counter.labels({ path: '/e' }).inc();

    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('switchyard_'));

    expect(lines.toSorted()).toEqual([
      'switchyard_metrics_overflow_total{metric="switchyard_requests_total"} 2',
      'switchyard_requests_total{path="/a"} 2',
      'switchyard_requests_total{path="/e"} 1',
      'switchyard_requests_total{path="other"} 2',
    ]);
  });

  it('can be read from elsewhere at each scrape', async () => {
    const metrics = createMetrics();
    let size = 3;
    metrics.gauge('table_size', 'Rows', { collect: (gauge) => gauge.set(size) });

    expect(await metrics.text()).toContain('switchyard_table_size 3');
    size = 4;
    expect(await metrics.text()).toContain('switchyard_table_size 4');
  });
});
