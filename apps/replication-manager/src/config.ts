// Which settings does the replication-manager have?
import { redisSettings } from '@switchyard/redis';
import { setting } from '@switchyard/runtime';

export const replicationConfig = {
  host: setting.string({
    env: 'SWITCHYARD_HOST',
    default: '127.0.0.1',
    doc: 'Address to listen on. There is no authentication yet: anything but loopback opens the API to the network.',
  }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    doc: 'Host under which others reach this process; by default the address it listens on.',
  }),
  port: setting.port({ env: 'SWITCHYARD_REPLICATION_PORT', default: 4724, doc: 'Port of the API for Redis groups.' }),
  pollMs: setting.durationMs({
    env: 'SWITCHYARD_REPLICATION_POLL_MS',
    default: 250,
    min: 50,
    max: 5_000,
    doc: 'How often nodes and Sentinels are asked; every 50 ms while a failover is under way.',
  }),
  nodeNames: setting.list({
    env: 'SWITCHYARD_REPLICATION_NODE_NAMES',
    default: ['r1=127.0.0.1:4731', 'r2=127.0.0.1:4732', 'r3=127.0.0.1:4733'],
    item: /^[A-Za-z0-9._-]{1,64}=[^\s,=]+:\d{1,5}$/,
    itemName: 'name=host:port',
    doc: 'What people call the nodes. Names only: which nodes there are, and their roles, the Sentinels say. A node without a name is called by its address.',
  }),
  manage: setting.string({
    env: 'SWITCHYARD_REPLICATION_MANAGE',
    default: 'manage',
    pattern: /^(manage|observe)$/,
    doc: 'Of the group of these settings: `manage` enforces what the Sentinels decided and does work on request, `observe` changes nothing, ever.',
  }),
  policy: setting.string({
    env: 'SWITCHYARD_REPLICATION_POLICY',
    default: 'availability',
    pattern: /^(availability|consistency)$/,
    doc: 'When the last replica is lost: `availability` goes on taking writes and says so, `consistency` takes none until a replica is back.',
  }),
  bootLock: setting.string({
    env: 'SWITCHYARD_REPLICATION_BOOT_LOCK',
    default: 'advise',
    pattern: /^(off|advise|enforce)$/,
    doc: 'What a primary that restarts empty or behind may do: `enforce` keeps applications out until it was compared with the others.',
  }),
  salvageMs: setting.durationMs({
    env: 'SWITCHYARD_REPLICATION_SALVAGE_MS',
    default: 10_000,
    min: 0,
    max: 300_000,
    doc: 'How long a former primary that has writes of its own is kept from taking more while they are copied, before it is made a replica.',
  }),
  salvageMaxBytes: setting.integer({
    env: 'SWITCHYARD_REPLICATION_SALVAGE_MAX_BYTES',
    default: 1_073_741_824,
    min: 0,
    max: 1_099_511_627_776,
    doc: 'How much disk the copies of former primaries of one group may take; the oldest go first.',
  }),
  minReplicasMaxLagMs: setting.durationMs({
    env: 'SWITCHYARD_REPLICATION_MIN_REPLICAS_MAX_LAG_MS',
    default: 3_000,
    min: 1_000,
    max: 60_000,
    doc: 'A primary that is cut off from all its replicas stops taking writes after so long. Redis counts in whole seconds; a limit that an operator set on the node stays.',
  }),
  flappingFailovers: setting.integer({
    env: 'SWITCHYARD_REPLICATION_FLAPPING_FAILOVERS',
    default: 3,
    min: 1,
    max: 100,
    doc: 'After more failovers than this in a row, nothing is begun by itself until somebody has acknowledged it.',
  }),
  flappingWithinMs: setting.durationMs({
    env: 'SWITCHYARD_REPLICATION_FLAPPING_WITHIN_MS',
    default: 600_000,
    min: 1_000,
    max: 86_400_000,
    doc: 'How close together failovers have to be to count as in a row.',
  }),
  redisServer: setting.string({
    env: 'SWITCHYARD_REDIS_SERVER',
    default: 'redis-server',
    doc: 'Program that loads the copies of former primaries, to find out which keys only they had; without it only bytes are counted.',
  }),
  checkEveryMs: setting.durationMs({
    env: 'SWITCHYARD_REPLICATION_CHECK_EVERY_MS',
    default: 21_600_000,
    min: 0,
    max: 2_592_000_000,
    doc: 'How often the data of all nodes is compared in the background, while the group is well and nobody works on it; 0: never.',
  }),
  checkDutyPercent: setting.integer({
    env: 'SWITCHYARD_REPLICATION_CHECK_DUTY_PERCENT',
    default: 4,
    min: 1,
    max: 100,
    doc: 'Share of the time in which the background comparison reads from a node; the rest is pauses.',
  }),
  testKillAt: setting.string({
    env: 'SWITCHYARD_REPLICATION_TEST_KILL_AT',
    default: '',
    pattern: /^([a-z-]+(:sent)?)?$/,
    doc: 'For tests only: the process kills itself when a switchover reaches this step, or (`step:sent`) has sent the commands of it.',
  }),
  logFiles: setting.list({
    env: 'SWITCHYARD_REPLICATION_LOG_FILES',
    default: [],
    item: /^[A-Za-z0-9._:-]{1,64}=[^,]+$/,
    itemName: 'name=path',
    doc: 'Log files of nodes and Sentinels of the group of these settings on this machine, by name; their lines around a failover are added to its history. Where a node names a file itself, that is found without being told.',
  }),
  dockerSocket: setting.string({
    env: 'SWITCHYARD_REPLICATION_DOCKER_SOCKET',
    optional: true,
    doc: 'Unix socket of the Docker engine, to read the same lines of nodes and Sentinels in containers. Whoever may use that socket rules the machine: mount it through a proxy that allows GET /containers only.',
  }),
  backupUrl: setting.url({
    env: 'SWITCHYARD_REPLICATION_BACKUP_URL',
    optional: true,
    doc: 'The backup-worker that gives a node its data out of a backup; by default one of those that the catalog lists.',
  }),
  stateDir: setting.string({
    env: 'SWITCHYARD_STATE_DIR',
    default: '.switchyard/state/replication-manager',
    doc: 'Directory of the journal of failovers; survives the loss of Redis.',
  }),
  redis: redisSettings,
} as const;
