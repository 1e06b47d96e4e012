// Which settings does the dispatcher have?
import { defaultLimits, defaultTimeouts } from '@switchyard/proxy';
import { redisSettings } from '@switchyard/redis';
import { setting } from '@switchyard/runtime';

const oneHourMs = 3_600_000;

export const dispatcherConfig = {
  host: setting.string({
    env: 'SWITCHYARD_HOST',
    default: '127.0.0.1',
    doc: 'Address to listen on. There is no authentication yet: anything but loopback opens the control listener to the network.',
  }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    doc: 'Host under which others reach this process; by default the address it listens on.',
  }),
  port: setting.port({ env: 'SWITCHYARD_DISPATCHER_PORT', default: 4723, doc: "Port of the dispatcher's own API." }),
  trafficPort: setting.port({
    env: 'SWITCHYARD_DISPATCHER_TRAFFIC_PORT',
    default: 4700,
    doc: 'Port where the traffic of users comes in.',
  }),
  controlPort: setting.port({
    env: 'SWITCHYARD_DISPATCHER_CONTROL_PORT',
    default: 4710,
    doc: 'Port where the API of all services is, and the pages for people.',
  }),
  workers: setting.integer({
    env: 'SWITCHYARD_DISPATCHER_WORKERS',
    default: 1,
    min: 0,
    max: 64,
    doc: 'Processes that serve the same ports; 0 for one per core. Above 1 a supervisor keeps them: SIGHUP restarts them one by one.',
  }),
  workerStallMs: setting.durationMs({
    env: 'SWITCHYARD_DISPATCHER_WORKER_STALL_MS',
    default: 5_000,
    min: 1_000,
    max: 60_000,
    doc: 'A worker process that gives no sign of life for so long is replaced.',
  }),
  trustedProxies: setting.list({
    env: 'SWITCHYARD_DISPATCHER_TRUSTED_PROXIES',
    default: [],
    item: /^[0-9A-Fa-f.:]+(?:\/\d{1,3})?$/,
    itemName: 'an address or a range such as 10.0.0.0/8',
    doc: 'Proxies in front whose X-Forwarded-* and Forwarded are believed; those of anybody else are replaced.',
  }),
  announceInstance: setting.boolean({
    env: 'SWITCHYARD_DISPATCHER_ANNOUNCE_INSTANCE',
    default: true,
    doc: 'Answers name the instance they come from in Switchyard-Instance.',
  }),
  limits: {
    headBytes: setting.bytes({
      env: 'SWITCHYARD_DISPATCHER_HEAD_LIMIT_BYTES',
      default: defaultLimits.headBytes,
      min: 1_024,
      max: 1_048_576,
      doc: 'Largest head of a request; above it 431.',
    }),
    bodyBytes: setting.bytes({
      env: 'SWITCHYARD_DISPATCHER_BODY_LIMIT_BYTES',
      default: defaultLimits.bodyBytes,
      doc: 'Largest body of a request; above it 413. 0 for no limit: bodies are streamed, not kept.',
    }),
    replayBytes: setting.bytes({
      env: 'SWITCHYARD_DISPATCHER_REPLAY_LIMIT_BYTES',
      default: defaultLimits.replayBytes,
      max: 16_777_216,
      doc: 'So much of a body is kept for a second attempt. A request with a longer body is tried once.',
    }),
    connections: setting.integer({
      env: 'SWITCHYARD_DISPATCHER_CONNECTIONS',
      default: defaultLimits.connections,
      min: 1,
      max: 1_000_000,
      doc: 'Client connections at once on each listener; further ones are closed.',
    }),
    inFlightPerInstance: setting.integer({
      env: 'SWITCHYARD_DISPATCHER_IN_FLIGHT',
      default: defaultLimits.inFlightPerInstance,
      min: 1,
      max: 1_000_000,
      doc: 'Requests under way at one instance; above it the instance counts as busy.',
    }),
    sharedDepth: setting.integer({
      env: 'SWITCHYARD_DISPATCHER_SHARED_DEPTH',
      default: defaultLimits.sharedDepth,
      max: 256,
      doc: 'Brief GETs that may wait on one connection to an instance, one behind the other, while it answers quickly; 0 for never.',
    }),
  },
  timeouts: {
    connectMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_CONNECT_TIMEOUT_MS',
      default: defaultTimeouts.connectMs,
      min: 10,
      max: 60_000,
      doc: 'Until a connection with an instance; then another one is tried.',
    }),
    responseMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_RESPONSE_TIMEOUT_MS',
      default: defaultTimeouts.responseMs,
      min: 10,
      max: oneHourMs,
      doc: 'Until the head of an answer; a route may set its own.',
    }),
    idleMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_IDLE_TIMEOUT_MS',
      default: defaultTimeouts.idleMs,
      min: 10,
      max: oneHourMs,
      doc: 'Longest silence within a body, in either direction; a route may set its own.',
    }),
    headMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_HEAD_TIMEOUT_MS',
      default: defaultTimeouts.headMs,
      min: 100,
      max: oneHourMs,
      doc: 'Until a client has sent the head of its request.',
    }),
  },
  probes: {
    afterMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_PROBE_AFTER_MS',
      default: 2_000,
      min: 1_000,
      max: oneHourMs,
      doc: 'When Redis was silent for so long, the dispatcher asks each instance itself, as its check says. Less finds the dead sooner and probes at every hiccup of Redis.',
    }),
    intervalMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_PROBE_INTERVAL_MS',
      default: 1_000,
      min: 200,
      max: oneHourMs,
      doc: 'Time between two such probes of an instance whose check does not say; three that fail take it out, two answers bring it back.',
    }),
    timeoutMs: setting.durationMs({
      env: 'SWITCHYARD_DISPATCHER_PROBE_TIMEOUT_MS',
      default: 500,
      min: 10,
      max: 60_000,
      doc: 'How long an instance may take to answer such a probe, unless its check says otherwise.',
    }),
  },
  accessLog: {
    to: setting.string({
      env: 'SWITCHYARD_DISPATCHER_ACCESS_LOG',
      default: 'off',
      doc: 'Where each request is written down as a line of JSON: off, stdout, or the path of a file or named pipe. Lines that it does not take in time are dropped and counted; a file that was renamed or removed is opened anew within seconds.',
    }),
    samplePercent: setting.number({
      env: 'SWITCHYARD_DISPATCHER_ACCESS_LOG_SAMPLE_PERCENT',
      default: 100,
      min: 0.01,
      max: 100,
      doc: 'So many of the requests that went well are written down. Those that failed always are.',
    }),
    query: setting.boolean({
      env: 'SWITCHYARD_DISPATCHER_ACCESS_LOG_QUERY',
      default: true,
      doc: 'Lines have the query too, as in the logs of nginx and HAProxy. Turn it off where queries hold secrets.',
    }),
  },
  replayMemoryMs: setting.durationMs({
    env: 'SWITCHYARD_DISPATCHER_REPLAY_MEMORY_MS',
    default: 24 * oneHourMs,
    min: 60_000,
    max: 30 * 24 * oneHourMs,
    doc: 'So long it is remembered in Redis that a request with an Idempotency-Key was sent once more; there is one repetition in that time.',
  }),
  stateDir: setting.string({
    env: 'SWITCHYARD_STATE_DIR',
    default: '.switchyard/state/dispatcher',
    doc: 'Directory of the last routing table, for a start without Redis.',
  }),
  redis: redisSettings,
} as const;
