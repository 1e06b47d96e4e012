// How is the present kept, so that going back can be undone? As a point under a name: a position of the archive that is never in doubt.
import { safetyPointSchema, type SafetyPoint } from '@switchyard/protocol';
import { layout } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import type { ArchiveHead } from '../archive/archive.ts';
import type { ObjectStore } from '../repository/object-store.ts';

/** Keeps what is archived up to `head` under a name that `to: { label }` understands. Rejects with an ObjectStoreError. */
export type KeepPoint = (
  head: ArchiveHead,
  operation: string,
  detail: string,
  signal: AbortSignal,
) => Promise<SafetyPoint>;

/** Points of a group in `store`. */
export function createSafetyPoints(options: {
  readonly store: Pick<ObjectStore, 'put'>;
  readonly group: string;
  readonly clock: Clock;
}): KeepPoint {
  const { store, group, clock } = options;
  return async (head, operation, detail, signal) => {
    const stamp = new Date(clock.unixMs()).toISOString().replaceAll(/[-:]/g, '');
    const point = safetyPointSchema.parse({
      formatVersion: 1,
      label: `${stamp}-safety`,
      group,
      ...head,
      operation,
      detail,
    });
    await store.put(layout.point(group, point.label), Buffer.from(`${JSON.stringify(point)}\n`), { signal });
    return point;
  };
}
