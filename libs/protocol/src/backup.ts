// What is a backup, as its manifest says? A backup exists only when its manifest does: it is written last.
import { z } from 'zod';
import { plainNameSchema } from './names.ts';

/** `20260102T030405.678Z-full`: sorts by time, unique within a group. */
export const backupLabelSchema = z
  .string()
  .regex(/^\d{8}T\d{6}\.\d{3}Z-full$/, 'must look like 20260102T030405.678Z-full; GET /v1/backups lists them');

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);
const replicationIdSchema = z.string().regex(/^[0-9a-f]{40}$/);
/** Bytes of a replication history; 2^53 of them are enough for a thousand years at 250 GB a second. */
const positionSchema = z.int().min(0);

/** How the stored bytes were encrypted, after compression. */
export const encryptionSchema = z.object({
  algorithm: z.literal('aes-256-gcm'),
  /** first 16 hex digits of the sha256 of the key */
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  /** 12 bytes in hex; the 16 bytes of the tag end the stored bytes */
  nonce: z.string().regex(/^[0-9a-f]{24}$/),
});
export type Encryption = z.infer<typeof encryptionSchema>;

/** A timeline: one replication history without a gap, followed over failovers. `20260102T030405.678Z`: when it began. */
export const timelineIdSchema = z.string().regex(/^\d{8}T\d{6}\.\d{3}Z$/, 'must look like 20260102T030405.678Z');

/** timeline.json: how a timeline began. Written before its first segment. */
export const timelineSchema = z
  .object({
    formatVersion: z.literal(1),
    id: timelineIdSchema,
    group: plainNameSchema,
    startedAtMs: z.number(),
    /** the data set that it begins with holds everything up to here */
    start: z.object({ replicationId: replicationIdSchema, offset: positionSchema }),
    server: z.object({ kind: z.enum(['redis', 'valkey']), version: z.string() }),
    /** why the one before could not be continued */
    reason: z.enum(['first', 'gap', 'rollback', 'repository']),
    detail: z.string(),
    previous: z.object({ timeline: timelineIdSchema, offset: positionSchema }).nullable(),
  })
  .meta({ id: 'Timeline' });
export type Timeline = z.infer<typeof timelineSchema>;

/** Something in the stream that a person looks for afterwards. Restoring to `before` undoes it. */
export const notableEventSchema = z
  .object({
    kind: z.enum(['flush', 'mass-delete', 'swap', 'functions', 'failover', 'clock-jump']),
    /** upper case; empty where it is no command */
    command: z.string(),
    /** the last whole command or transaction before it ends here */
    before: positionSchema,
    atMs: z.number(),
    database: z.int().min(0).nullable(),
    detail: z.string(),
  })
  .meta({ id: 'NotableEvent' });
export type NotableEvent = z.infer<typeof notableEventSchema>;

/** Head of a segment: a piece [from, to) of a timeline's stream, cut between commands and outside of transactions. */
export const segmentHeaderSchema = z
  .object({
    formatVersion: z.literal(1),
    group: plainNameSchema,
    timeline: timelineIdSchema,
    from: positionSchema,
    to: positionSchema,
    startedAtMs: z.number(),
    endedAtMs: z.number(),
    /** the history's name from each position on; the first one from `from` */
    histories: z.array(z.object({ from: positionSchema, replicationId: replicationIdSchema })).min(1),
    /** database that is selected at `from` */
    database: z.int().min(0),
    /** [position, wall clock in ms]: everything before the position had arrived by then; positions are cuts. At least one a 10 ms with traffic */
    times: z.array(z.tuple([positionSchema, z.number()])),
    commands: z.int().min(0),
    /** how often each command occurs, by its name in upper case; at most 200 names, the rest under '*' */
    commandCounts: z.record(z.string(), z.int().min(1)),
    events: z.array(notableEventSchema),
    /** events beyond the bound of 100 */
    moreEvents: z.int().min(0),
    /** pieces of which it was made, with the sha256 of their raw bytes; more than one after merging */
    parts: z.array(z.object({ from: positionSchema, to: positionSchema, sha256: sha256Schema })).min(1),
    /** sha256 over (chain before as hex + sha256 of the part as hex), part by part; the first one of a timeline begins with sha256 of its id */
    chain: z.object({ before: sha256Schema, after: sha256Schema }),
    /** of the bytes that follow the head */
    bytes: z.int().min(0),
    sha256: sha256Schema,
    compression: z.enum(['zstd', 'none']),
    encryption: encryptionSchema.optional(),
  })
  .meta({ id: 'SegmentHeader' });
export type SegmentHeader = z.infer<typeof segmentHeaderSchema>;

export const backupManifestSchema = z
  .object({
    formatVersion: z.literal(1),
    label: backupLabelSchema,
    kind: z.literal('full'),
    group: plainNameSchema,
    startedAtMs: z.number(),
    finishedAtMs: z.number(),
    /** where the bytes came from, and up to which replication offset they hold */
    source: z.object({
      host: z.string(),
      port: z.int(),
      role: z.enum(['primary', 'replica']),
      replicationId: z.string(),
      offset: z.number(),
    }),
    server: z.object({ kind: z.enum(['redis', 'valkey']), version: z.string() }),
    files: z.array(
      z.object({
        /** relative to the backup's own folder */
        path: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be a plain file name'),
        bytes: z.int().min(0),
        /** before compression */
        rawBytes: z.int().min(0),
        sha256: sha256Schema,
        compression: z.enum(['zstd', 'none']),
        encryption: encryptionSchema.optional(),
      }),
    ),
    /** the timeline of the archive that the data set lies on; its place there is `source.offset` */
    timeline: timelineIdSchema.optional(),
    keys: z.object({ total: z.int().min(0), perDatabase: z.record(z.string(), z.int().min(0)) }),
    /** digest of the logical content as redis-server computes it: 40 hex digits */
    digest: z.string().regex(/^[0-9a-f]{40}$/),
    writer: z.string(),
  })
  .meta({ id: 'BackupManifest' });
export type BackupManifest = z.infer<typeof backupManifestSchema>;

/**
 * Outcome of the latest proof of the stream before a backup: the backup before it and every command since then, applied up to exactly
 * its offset, hold what this one holds, which is a snapshot that the source made independently.
 */
export const streamVerificationSchema = z
  .object({
    atMs: z.number(),
    tookMs: z.number(),
    ok: z.boolean(),
    /** label of the backup that it began with */
    from: z.string(),
    offset: positionSchema,
    streamBytes: z.int().min(0),
    keys: z.int().nullable(),
    digest: z.string().nullable(),
    problem: z.string().nullable(),
  })
  .meta({ id: 'StreamVerification' });
export type StreamVerification = z.infer<typeof streamVerificationSchema>;

/** Outcome of the latest verification: hashes compared, loaded into a throw-away server, counts and digest compared. */
export const backupVerificationSchema = z
  .object({
    atMs: z.number(),
    ok: z.boolean(),
    tookMs: z.number(),
    keys: z.int().nullable(),
    digest: z.string().nullable(),
    problem: z.string().nullable(),
    /** absent while it was not proven yet, and where no stream leads to it */
    stream: streamVerificationSchema.optional(),
  })
  .meta({ id: 'BackupVerification' });
export type BackupVerification = z.infer<typeof backupVerificationSchema>;

export const backupViewSchema = z
  .object({
    label: z.string(),
    group: z.string(),
    kind: z.literal('full'),
    state: z.enum(['verified', 'unverified', 'corrupt']),
    startedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime(),
    bytes: z.int(),
    rawBytes: z.int(),
    keys: z.int(),
    verification: backupVerificationSchema.nullable(),
    manifest: backupManifestSchema,
  })
  .meta({ id: 'Backup' });
export type BackupView = z.infer<typeof backupViewSchema>;

/** Body of `POST /v1/backups`. */
export const backupRequestSchema = z
  .strictObject({ group: plainNameSchema.default('main') })
  .meta({ id: 'BackupRequest' });
export type BackupRequest = z.infer<typeof backupRequestSchema>;

/** Payloads of the queue `backup`, by job name. */
export const backupJobSchema = z.discriminatedUnion('task', [
  z.object({ task: z.literal('backup'), group: plainNameSchema, operation: z.string().optional() }),
  z.object({
    task: z.literal('verify'),
    group: plainNameSchema.optional(),
    label: backupLabelSchema,
    operation: z.string().optional(),
  }),
]);
export type BackupJob = z.infer<typeof backupJobSchema>;

/** To which moment. Exactly one of `time`, `offset`, `label`, `before`. */
export const restoreTargetSchema = z
  .union([
    /** ISO 8601, `now`, or a duration ago as `-5m` */
    z.strictObject({ time: z.string().min(1).max(64) }),
    /** every byte of the stream before this position; the newest timeline that has it unless one is named */
    z.strictObject({ offset: positionSchema, timeline: timelineIdSchema.optional() }),
    /** a backup, or a safety point of a rollback */
    z.strictObject({ label: z.string().min(1).max(128) }),
    /** the moment before the last occurrence of a command, or before the one at `at` */
    z.strictObject({
      before: z.string().regex(/^[A-Za-z][A-Za-z0-9._|-]{0,63}$/, 'must be the name of a command, such as FLUSHALL'),
      at: z.string().max(64).optional(),
    }),
  ])
  .meta({ id: 'RestoreTarget' });
export type RestoreTarget = z.infer<typeof restoreTargetSchema>;

/** Body of `POST /v1/restores`. */
export const restoreRequestSchema = z
  .strictObject({
    group: plainNameSchema.default('main'),
    to: restoreTargetSchema.default({ time: 'now' }),
    target: z.union([
      /** absolute path on the worker's machine; absent or empty */
      z.strictObject({ directory: z.string().min(1).max(4096) }),
      z.strictObject({
        /** `host:port` of a running server of its own, empty unless `overwrite` */
        node: z.string().min(3).max(280),
        /** it becomes a primary of its own; `replica`: it keeps the history's name and offset, so that it can go on as a replica of the group */
        as: z.enum(['primary', 'replica']).default('primary'),
        overwrite: z.boolean().default(false),
      }),
    ]),
  })
  .meta({ id: 'RestoreRequest' });
export type RestoreRequest = z.infer<typeof restoreRequestSchema>;

/** Body of `POST /v1/rollbacks`. */
export const rollbackRequestSchema = z
  .strictObject({
    group: plainNameSchema.default('main'),
    to: restoreTargetSchema,
    dryRun: z.boolean().default(false),
    /** glob as SCAN understands it: only these keys are brought back, by DUMP and RESTORE, while the group goes on */
    match: z.string().min(1).max(1024).optional(),
    /** compares `all` keys before it begins, or only their `counts`; by default all up to a million keys */
    diff: z.enum(['all', 'counts']).optional(),
    reason: z.string().max(500).optional(),
  })
  .meta({ id: 'RollbackRequest' });
export type RollbackRequest = z.infer<typeof rollbackRequestSchema>;

/** Body of `POST /v1/rehearsals`. */
export const rehearsalRequestSchema = z
  .strictObject({ group: plainNameSchema.default('main'), to: restoreTargetSchema.optional() })
  .meta({ id: 'RehearsalRequest' });
export type RehearsalRequest = z.infer<typeof rehearsalRequestSchema>;

/** How one data set differs from another: what a rollback would do to the keys that are there now. */
export const dataDiffSchema = z
  .object({
    /** keys now, and keys at the moment that is asked for */
    now: z.int().min(0),
    target: z.int().min(0),
    /** null where only counts were compared */
    added: z.int().min(0).nullable(),
    changed: z.int().min(0).nullable(),
    removed: z.int().min(0).nullable(),
    /** at most 10 names of each, as people can read them, with the database before the name unless it is 0 */
    samples: z.object({ added: z.array(z.string()), changed: z.array(z.string()), removed: z.array(z.string()) }),
  })
  .meta({ id: 'DataDiff' });
export type DataDiff = z.infer<typeof dataDiffSchema>;

/** A moment that was found: what a restore and a rollback work with. */
export const restorePointSchema = z
  .object({
    group: z.string(),
    /** null for a backup that lies on no timeline */
    timeline: timelineIdSchema.nullable(),
    /** every byte of the stream before this position */
    offset: positionSchema,
    replicationId: replicationIdSchema,
    /** when the last byte arrived */
    at: z.iso.datetime(),
    /** the backup that it begins with, and how many bytes of the stream follow it */
    base: z.string(),
    streamBytes: z.int().min(0),
  })
  .meta({ id: 'RestorePoint' });
export type RestorePoint = z.infer<typeof restorePointSchema>;

/** points/<label>.json: a moment that is kept under a name, such as the one that undoes a rollback. */
export const safetyPointSchema = z
  .object({
    formatVersion: z.literal(1),
    label: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'must be letters, digits, dots, dashes'),
    group: plainNameSchema,
    timeline: timelineIdSchema,
    /** every byte of the stream before this position */
    offset: positionSchema,
    replicationId: replicationIdSchema,
    /** when the last byte arrived */
    atMs: z.number(),
    /** the operation that made it */
    operation: z.string(),
    detail: z.string(),
  })
  .meta({ id: 'SafetyPoint' });
export type SafetyPoint = z.infer<typeof safetyPointSchema>;

/** rehearsals/<operation>.json: how a rollback of a scratch group went. */
export const rehearsalSchema = z
  .object({
    formatVersion: z.literal(1),
    operation: z.string(),
    group: plainNameSchema,
    atMs: z.number(),
    /** by the schedule, or because somebody asked for it */
    trigger: z.enum(['schedule', 'request']),
    ok: z.boolean(),
    /** why it failed */
    problem: z.string().nullable(),
    point: restorePointSchema.nullable(),
    /** from the order until the old data took writes, and everything was compared; null when it did not come so far */
    rtoMs: z.number().nullable(),
    /** its phases in ms, in their order */
    phases: z.array(z.object({ name: z.string(), ms: z.number() })),
    /** for how long nobody could write and nobody could read, as a client saw it */
    unavailableMs: z.object({ writes: z.number().nullable(), reads: z.number().nullable() }),
    /** how much of the present the archive did not have when it began, in ms */
    rpoMs: z.number().nullable(),
    /** of the present data */
    keys: z.int().nullable(),
    bytes: z.int().nullable(),
  })
  .meta({ id: 'Rehearsal' });
export type Rehearsal = z.infer<typeof rehearsalSchema>;

/** Body of `POST /v1/backups/prune`. */
export const pruneRequestSchema = z
  .strictObject({ group: plainNameSchema.default('main'), dryRun: z.boolean().default(false) })
  .meta({ id: 'PruneRequest' });
export type PruneRequest = z.infer<typeof pruneRequestSchema>;

const retentionVerdictSchema = z.object({ label: z.string(), reason: z.string() });

/** What the retention rules keep and remove. */
export const pruneViewSchema = z
  .object({
    group: z.string(),
    dryRun: z.boolean(),
    /** newest first */
    keep: z.array(retentionVerdictSchema).readonly(),
    remove: z.array(retentionVerdictSchema).readonly(),
    /** for each timeline: how many segments stay and go, and up to which position the stream goes */
    stream: z.array(
      z.object({
        timeline: timelineIdSchema,
        keep: z.int().min(0),
        remove: z.int().min(0),
        removeTo: positionSchema.nullable(),
        removeTimeline: z.boolean(),
        reason: z.string(),
      }),
    ),
    /** null for a dry run */
    removed: z.object({ backups: z.array(z.string()), segments: z.int().min(0) }).nullable(),
  })
  .meta({ id: 'Prune' });
export type PruneView = z.infer<typeof pruneViewSchema>;
