// Which settings does the backup-worker have?
import { redisSettings } from '@switchyard/redis';
import { setting, type ConfigOf, type Setting } from '@switchyard/runtime';

const keepOfEach = (name: string, periods: string): Setting<number> =>
  setting.integer({
    env: `SWITCHYARD_BACKUP_KEEP_${name}`,
    default: 0,
    min: 0,
    max: 10_000,
    doc: `The newest backup of each of the last so many ${periods} (UTC) that have one is kept.`,
  });

export const backupConfig = {
  host: setting.string({ env: 'SWITCHYARD_HOST', default: '127.0.0.1', doc: 'Address to listen on.' }),
  advertiseHost: setting.string({
    env: 'SWITCHYARD_ADVERTISE_HOST',
    optional: true,
    doc: 'Host under which others reach this process; by default the address it listens on.',
  }),
  port: setting.port({ env: 'SWITCHYARD_BACKUP_PORT', default: 4725, doc: 'Port of health, metrics and API.' }),
  repository: setting.list({
    env: 'SWITCHYARD_BACKUP_REPOSITORY',
    default: ['.switchyard/backups'],
    maxItems: 8,
    doc: 'Where the backups lie: a directory (on another disk than that of the Redis nodes) or s3://bucket/prefix?endpoint=https://host&region=name. Of several, the first is written to and the others hold copies.',
  }),
  s3AccessKey: setting.string({
    env: 'SWITCHYARD_BACKUP_S3_ACCESS_KEY',
    optional: true,
    secret: true,
    doc: 'Access key of the S3-compatible stores.',
  }),
  s3SecretKey: setting.string({
    env: 'SWITCHYARD_BACKUP_S3_SECRET_KEY',
    optional: true,
    secret: true,
    doc: 'Secret key of the S3-compatible stores.',
  }),
  stateDirectory: setting.string({
    env: 'SWITCHYARD_BACKUP_STATE_DIR',
    optional: true,
    doc: 'Directory for what is this worker’s own (memory of its operations); the first directory of the repositories unless set.',
  }),
  keys: setting.string({
    env: 'SWITCHYARD_BACKUP_KEY',
    optional: true,
    secret: true,
    doc: 'Keys of encrypted backups, one a line: 64 hex digits or base64 of 32 bytes. The first encrypts, all decrypt. Name a file by SWITCHYARD_BACKUP_KEY_FILE.',
  }),
  scratch: setting.string({
    env: 'SWITCHYARD_BACKUP_SCRATCH',
    optional: true,
    doc: 'Directory for loading backups into throw-away servers; .scratch in the repository unless set. Needs room for one uncompressed backup.',
  }),
  redisServer: setting.string({
    env: 'SWITCHYARD_REDIS_SERVER',
    default: 'redis-server',
    doc: 'The redis-server that loads backups to prove them; at least as new as the one that is backed up.',
  }),
  everyMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_EVERY',
    default: 3_600_000,
    min: 1_000,
    max: 30 * 86_400_000,
    doc: 'Time between two scheduled backups. Less loses less after a disaster and costs a fork on a replica each time.',
  }),
  keepNewest: setting.integer({
    env: 'SWITCHYARD_BACKUP_KEEP_NEWEST',
    default: 24,
    min: 1,
    max: 10_000,
    doc: 'So many of the newest backups are kept, whatever their age.',
  }),
  keepForMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_KEEP_FOR',
    default: 7 * 86_400_000,
    min: 0,
    max: 3_650 * 86_400_000,
    doc: 'Younger backups are kept, whatever their number. The last verified one is never removed.',
  }),
  keepHourly: keepOfEach('HOURLY', 'hours'),
  keepDaily: keepOfEach('DAILY', 'days'),
  keepWeekly: keepOfEach('WEEKLY', 'ISO weeks'),
  keepMonthly: keepOfEach('MONTHLY', 'months'),
  keepYearly: keepOfEach('YEARLY', 'years'),
  keepStreamForMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_KEEP_STREAM_FOR',
    default: 7 * 86_400_000,
    min: 0,
    max: 3_650 * 86_400_000,
    doc: 'The archived stream leads back so far: every moment since then can be restored.',
  }),
  maxLagBytes: setting.bytes({
    env: 'SWITCHYARD_BACKUP_MAX_LAG_BYTES',
    default: 16 * 1024 * 1024,
    min: 0,
    doc: 'A replica further behind its primary is not copied.',
  }),
  patienceMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_PATIENCE',
    default: 30_000,
    min: 0,
    max: 3_600_000,
    doc: 'How long a backup waits for a fit replica, for instance during a failover, before it fails.',
  }),
  copyDeadlineMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_COPY_DEADLINE',
    default: 3_600_000,
    min: 1_000,
    max: 86_400_000,
    doc: 'Longest time to copy the data set.',
  }),
  proofDeadlineMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_PROOF_DEADLINE',
    default: 1_800_000,
    min: 1_000,
    max: 86_400_000,
    doc: 'Longest time to load a backup into a throw-away server and to digest it.',
  }),
  archive: setting.boolean({
    env: 'SWITCHYARD_BACKUP_ARCHIVE',
    default: true,
    doc: 'Whether the stream of commands is archived all the time, so that any moment can be restored.',
  }),
  sealEveryMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_SEAL_EVERY',
    default: 500,
    min: 10,
    max: 60_000,
    doc: 'So often what has arrived is stored. Less loses less after a disaster and makes more objects.',
  }),
  sealBytes: setting.bytes({
    env: 'SWITCHYARD_BACKUP_SEAL_BYTES',
    default: 4 * 1024 * 1024,
    min: 64 * 1024,
    max: 16 * 1024 * 1024,
    doc: 'A piece of the stream of this size is stored at once.',
  }),
  longestTransactionBytes: setting.bytes({
    env: 'SWITCHYARD_BACKUP_LONGEST_TRANSACTION_BYTES',
    default: 64 * 1024 * 1024,
    min: 1024 * 1024,
    doc: 'Longest command or transaction that is archived; a longer one makes a gap and a new data set. Takes as much memory when it comes.',
  }),
  archiveFromPrimary: setting.boolean({
    env: 'SWITCHYARD_BACKUP_ARCHIVE_FROM_PRIMARY',
    default: true,
    doc: 'Whether the primary of a group with Sentinels is followed while no replica is left.',
  }),
  archivePrimaryAfterMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_ARCHIVE_PRIMARY_AFTER',
    default: 30_000,
    min: 0,
    max: 3_600_000,
    doc: 'How long a replica is waited for before that.',
  }),
  rehearseEveryMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_REHEARSE_EVERY',
    default: 86_400_000,
    min: 0,
    max: 90 * 86_400_000,
    doc: 'Time between two rehearsals of a rollback on a scratch group; 0 = only on request. Needs about four times the memory of the data for a moment.',
  }),
  proveStreamEveryMs: setting.durationMs({
    env: 'SWITCHYARD_BACKUP_PROVE_STREAM_EVERY',
    default: 86_400_000,
    min: 0,
    max: 90 * 86_400_000,
    doc: 'Time between two proofs that the archived stream leads from one backup to the next; 0 = only on request.',
  }),
  mostStreamBytes: setting.bytes({
    env: 'SWITCHYARD_BACKUP_MOST_STREAM_BYTES',
    default: 256 * 1024 * 1024,
    min: 1024,
    doc: 'When more of the stream than this (or twice the newest backup) follows the newest backup, another one is taken: a restore replays it.',
  }),
  copyBytesPerSecond: setting.bytes({
    env: 'SWITCHYARD_BACKUP_COPY_BYTES_PER_SECOND',
    default: 0,
    min: 0,
    doc: 'Most that copying a data set takes of the network; 0 = all that there is.',
  }),
  redis: redisSettings,
} as const;

/** The settings of the backup-worker. */
export type BackupConfig = ConfigOf<typeof backupConfig>;
