// Which settings does the heartbeat-monitor have?
import { redisSettings } from '@switchyard/redis';
import { setting } from '@switchyard/runtime';

export const monitorConfig = {
  host: setting.string({ env: 'SWITCHYARD_HOST', default: '127.0.0.1', doc: 'Address to listen on.' }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    doc: 'Host under which others reach this process; by default the address it listens on.',
  }),
  port: setting.port({ env: 'SWITCHYARD_MONITOR_PORT', default: 4722, doc: 'Port of health, metrics and API.' }),
  sweepMs: setting.durationMs({
    env: 'SWITCHYARD_MONITOR_SWEEP',
    default: 50,
    min: 10,
    max: 1_000,
    doc: 'Time between two looks at the deadlines. Less finds the dead sooner and costs Redis about 30 us a look.',
  }),
  leaseMs: setting.durationMs({
    env: 'SWITCHYARD_MONITOR_LEASE',
    default: 1_000,
    min: 200,
    max: 60_000,
    doc: 'How long a leader that fell silent keeps the lead. Less lets another act sooner and changes leaders more often.',
  }),
  probeTimeoutMs: setting.durationMs({
    env: 'SWITCHYARD_MONITOR_PROBE_TIMEOUT',
    default: 500,
    min: 10,
    max: 60_000,
    doc: 'How long a suspect may take to answer its probe, unless its registration says otherwise.',
  }),
  allowExec: setting.list({
    env: 'SWITCHYARD_MONITOR_ALLOW_EXEC',
    default: [],
    maxItems: 32,
    item: /^\/[^\0,]*$/,
    itemName: 'an absolute path',
    doc: 'Programs that the onActivate of a service may run here, by absolute path; none unless named. Whoever can write a policy can run these with any arguments.',
  }),
  redis: redisSettings,
} as const;
