// What is a backup, as its manifest says? A backup exists only when its manifest does: it is written last.
import { z } from 'zod';
import { plainNameSchema } from './names.ts';

/** `20260102T030405.678Z-full`: sorts by time, unique within a group. */
export const backupLabelSchema = z
  .string()
  .regex(/^\d{8}T\d{6}\.\d{3}Z-full$/, 'must look like 20260102T030405.678Z-full; GET /v1/backups lists them');

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
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        compression: z.enum(['zstd', 'none']),
      }),
    ),
    keys: z.object({ total: z.int().min(0), perDatabase: z.record(z.string(), z.int().min(0)) }),
    /** digest of the logical content as redis-server computes it: 40 hex digits */
    digest: z.string().regex(/^[0-9a-f]{40}$/),
    writer: z.string(),
  })
  .meta({ id: 'BackupManifest' });
export type BackupManifest = z.infer<typeof backupManifestSchema>;

/** Outcome of the latest verification: hashes compared, loaded into a throw-away server, counts and digest compared. */
export const backupVerificationSchema = z
  .object({
    atMs: z.number(),
    ok: z.boolean(),
    tookMs: z.number(),
    keys: z.int().nullable(),
    digest: z.string().nullable(),
    problem: z.string().nullable(),
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
