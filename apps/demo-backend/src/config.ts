// With which settings does a demonstration back end run?
import { redisSettings } from '@switchyard/redis';
import { setting } from '@switchyard/runtime';
import type { ConfigOf } from '@switchyard/runtime';

export const demoSettings = {
  host: setting.string({
    env: 'SWITCHYARD_HOST',
    default: '127.0.0.1',
    maxLength: 253,
    doc: 'Address to listen on. 0.0.0.0 is every address of this machine.',
  }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    maxLength: 253,
    doc: 'Host under which others reach this process; the first IPv4 address of the machine when it listens on every one.',
  }),
  port: setting.port({
    env: 'SWITCHYARD_DEMO_PORT',
    default: 0,
    doc: 'Port to listen on. Any free one will do: dispatchers learn it from the catalog.',
  }),
  service: setting.string({
    env: 'SWITCHYARD_DEMO_SERVICE',
    default: 'demo-backend',
    pattern: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    doc: 'Service of which this process is an instance.',
  }),
  weight: setting.number({
    env: 'SWITCHYARD_DEMO_WEIGHT',
    default: 1,
    min: 0,
    max: 65_535,
    doc: 'Share of the traffic relative to the other instances. Raising it brings more requests here; 0 brings none.',
  }),
  ttlMs: setting.durationMs({
    env: 'SWITCHYARD_DEMO_TTL',
    default: 3_000,
    min: 500,
    max: 3_600_000,
    doc: 'Silence after which the instance is suspected. Raising it tolerates longer stalls and finds a frozen process later.',
  }),
  zone: setting.string({
    env: 'SWITCHYARD_DEMO_ZONE',
    optional: true,
    maxLength: 64,
    doc: 'Zone, rack or region, for people and for zone-aware policies.',
  }),
  role: setting.choice({
    env: 'SWITCHYARD_DEMO_ROLE',
    choices: ['member', 'active', 'standby'],
    default: 'member',
    doc: 'Role that the instance declares. In an active-standby service, active is preferred for the first activation, and standby leaves it to others for a second.',
  }),
  drainDelayMs: setting.durationMs({
    env: 'SWITCHYARD_DEMO_DRAIN_DELAY_MS',
    default: 1_000,
    min: 0,
    max: 60_000,
    doc: 'Time between "I am leaving" and the end of the listener when nobody can say whether every dispatcher has let go, or some still have upgraded connections here.',
  }),
  drainDeadlineMs: setting.durationMs({
    env: 'SWITCHYARD_DEMO_DRAIN_DEADLINE_MS',
    default: 3_500,
    min: 0,
    max: 600_000,
    doc: 'Longest wait for dispatchers to finish what they have under way here; the instance leaves as soon as all have. More than 4 s needs a longer SWITCHYARD_SHUTDOWN_GRACE_MS too.',
  }),
  registryUrls: setting.list({
    env: 'SWITCHYARD_REGISTRY_URL',
    default: ['http://127.0.0.1:4721'],
    maxItems: 8,
    item: /^https?:\/\/[^\s,]+$/,
    itemName: 'a URL with http: or https:',
    doc: 'Registries to register at, asked in turn.',
  }),
  beats: setting.choice({
    env: 'SWITCHYARD_DEMO_BEATS',
    choices: ['redis', 'registry'],
    default: 'redis',
    doc: 'Way of the heartbeats when no liveness connection is open. redis needs the Redis settings and survives the death of every registry; registry needs only HTTP.',
  }),
  redis: redisSettings,
} as const;

export type DemoConfig = ConfigOf<typeof demoSettings>;
