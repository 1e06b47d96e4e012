// How are moments found in this worker? The locator over its repository, with what its own archive knows, and the routes.
import type { OpenRepository } from '../repository/open-repository.ts';
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import { createLocator, followedBy, type FollowingArchive, type Locator } from './locate.ts';
import { restorePointRoutes } from './restore-point-routes.ts';

/** The part; `locator` finds moments of every group in the repository. */
export interface RestorePointsPart extends WorkerPart {
  readonly locator: Locator;
}

/** Its routes have to come before those of the backups. Without an archive only what is in the repository is known. */
export function restorePointsPart(
  { group, clock }: Pick<WorkerTools, 'group' | 'clock'>,
  {
    repository,
    archive,
  }: {
    readonly repository: Pick<OpenRepository, 'store' | 'segments' | 'backups'>;
    readonly archive?: FollowingArchive;
  },
): RestorePointsPart {
  const { store, segments, backups } = repository;
  const followed = archive === undefined ? async () => Promise.resolve(null) : followedBy(archive, clock);
  const locator = createLocator({ store, segments, backups, followed, clock });
  return { locator, routes: restorePointRoutes({ locator, group, clock }), components: [] };
}
