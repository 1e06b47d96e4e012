// Which two data planes does a dispatcher run? One for the traffic of users, one for the control API.
import {
  createSocketDataPlane,
  defaultLimits,
  defaultTimeouts,
  type AccessLog,
  type DataPlane,
  type DataPlaneOptions,
  type Target,
  type TrafficPolicy,
} from '@switchyard/proxy';
import type { Meters } from '@switchyard/proxy';
import type { Clock, ConfigOf, Logger } from '@switchyard/runtime';
import type { dispatcherConfig } from './config.ts';
import { ownService } from './control-policy.ts';

/** Worker processes are renewed while clients go on: their idle connections stay so long for one more request. */
const workerDrainIdleMs = 2_000;

/** Both listeners, not started. */
export function createListeners(options: {
  readonly config: ConfigOf<typeof dispatcherConfig>;
  readonly traffic: TrafficPolicy;
  readonly control: TrafficPolicy;
  readonly accessLog: AccessLog | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}): { readonly traffic: DataPlane; readonly control: DataPlane } {
  const { config, accessLog, clock, logger } = options;
  const common: Omit<DataPlaneOptions, 'name' | 'port' | 'policy'> = {
    host: config.host,
    limits: { ...defaultLimits, ...config.limits },
    timeouts: { ...defaultTimeouts, ...config.timeouts, drainIdleMs: config.workers === 1 ? 0 : workerDrainIdleMs },
    trustedProxies: config.trustedProxies,
    announceInstance: config.announceInstance,
    via: 'switchyard',
    clock,
    logger,
    accessLog,
  };
  return {
    traffic: createSocketDataPlane({ ...common, name: 'traffic', port: config.trafficPort, policy: options.traffic }),
    control: createSocketDataPlane({ ...common, name: 'control', port: config.controlPort, policy: options.control }),
  };
}

/** The dispatcher's own API as a target of its control listener: reached over loopback when it listens everywhere. */
export function selfTarget(options: {
  readonly id: string;
  readonly address: { readonly host: string; readonly port: number };
  readonly meters: Meters;
}): Target {
  const { id, address, meters } = options;
  const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host;
  const origin = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  return {
    id,
    service: ownService,
    weight: 1,
    host,
    port: address.port,
    secure: false,
    origin,
    meter: meters.of(ownService, id),
  };
}
