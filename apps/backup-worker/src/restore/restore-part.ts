// How do restores come about here? The materialiser that all parts share, the work and its route, put together.
import { Readable } from 'node:stream';
import { RefusalError } from '@switchyard/protocol';
import type { Archive } from '../archive/archive.ts';
import type { BackupConfig } from '../config.ts';
import type { BackupRepository } from '../repository/backup-repository.ts';
import { createGroupProbe } from '../source/group-probe.ts';
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import type { MaterialSource } from './load.ts';
import type { Materialiser } from './materialise.ts';
import { createMaterialiser } from './materialiser.ts';
import { createNodeLook, nodeAdmins } from './node-look.ts';
import { restoreRoutes } from './restore-routes.ts';
import { createRestoreWork } from './restore-work.ts';

/** The part, and what rollback, rehearsal and verification work with. */
export interface RestorePart extends WorkerPart {
  readonly materialise: Materialiser;
}

/** Restores of the group in the settings. */
export function restorePart(
  tools: WorkerTools,
  options: {
    readonly config: Pick<BackupConfig, 'redisServer' | 'proofDeadlineMs'>;
    readonly repository: Pick<BackupRepository, 'find' | 'read'>;
    readonly archive: Pick<Archive, 'locate' | 'stream'>;
  },
): RestorePart {
  const { settings, group, runner, scratchDirectory, bindHost, advertisedHost, instanceId, clock, logger } = tools;
  const { config, repository, archive } = options;
  const materialise = createMaterialiser({
    command: config.redisServer,
    scratchDirectory,
    source: materialOf(repository, archive),
    clock,
    deadlineMs: config.proofDeadlineMs,
  });
  const context = { name: `${instanceId}:restore`, clock, logger };
  const admin = nodeAdmins(settings, context);
  const look = createNodeLook({ settings, probe: createGroupProbe(settings, context), admin });
  const work = createRestoreWork({
    locate: (to, signal) => archive.locate(to, signal),
    materialise,
    look,
    admin,
    bindHost,
    advertisedHost,
    writer: tools.writer,
    clock,
  });
  return { materialise, routes: restoreRoutes({ work, runner, group, clock }), components: [] };
}

/** Bases and streams out of the repository. */
export function materialOf(
  repository: Pick<BackupRepository, 'find' | 'read'>,
  archive: Pick<Archive, 'stream'>,
): MaterialSource {
  return {
    find: (label, group) => repository.find(label, group),
    data: (manifest, signal) => {
      const [file] = manifest.files;
      if (file === undefined)
        throw new RefusalError({ code: 'backup_corrupt', detail: `${manifest.label} names no file.` });
      return Readable.from(repository.read(manifest, file, signal));
    },
    stream: (range, signal) => archive.stream(range, signal),
  };
}
