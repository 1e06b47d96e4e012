// Which settings does the registry have?
import { redisSettings } from '@switchyard/redis';
import { setting } from '@switchyard/runtime';

export const registryConfig = {
  host: setting.string({
    env: 'SWITCHYARD_HOST',
    default: '127.0.0.1',
    doc: 'Address to listen on. There is no authentication yet: anything but loopback opens the catalog to the network.',
  }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    doc: 'Host under which others reach this process; by default the address it listens on.',
  }),
  port: setting.port({ env: 'SWITCHYARD_REGISTRY_PORT', default: 4721, doc: 'Port of the catalog API.' }),
  maxConnections: setting.integer({
    env: 'SWITCHYARD_REGISTRY_MAX_CONNECTIONS',
    default: 32_768,
    min: 16,
    max: 1_000_000,
    doc: 'Connections at the same time: watchers, waiting requests, agents. Each needs an open file (ulimit -n) and some 20 KB.',
  }),
  durability: setting.choice({
    env: 'SWITCHYARD_REGISTRY_DURABILITY',
    choices: ['async', 'replicated'],
    default: 'async',
    doc: 'When a change of the catalog is answered: as soon as the primary has it (async), or when a replica has it, too (replicated); 503 not_replicated says that this is not known.',
  }),
  redis: redisSettings,
} as const;
