// Which moment does a label mean? That of a backup, or a safety point that a rollback left behind.
import { ok, refuse, type Result } from '@switchyard/protocol';
import { replicationIdAt, type ArchiveView } from './archive-view.ts';
import { stateOf } from './backup-list.ts';
import { baseFor, isoOf, refuseOffset, whyNoBase, type LocatedPoint } from './restorable.ts';

/** Finds a backup or a safety point by its label. Refuses with `not_found`, or with `not_restorable` when it cannot be used. */
export function locateLabel(view: ArchiveView, label: string): Result<LocatedPoint> {
  const backup = view.backups.find(({ manifest }) => manifest.label === label);
  if (backup !== undefined) {
    const { source, startedAtMs } = backup.manifest;
    const state = stateOf(backup.verification);
    if (state === 'corrupt')
      return refuse('not_restorable', `The backup ${label} is corrupt.`, {
        why: [backup.verification?.problem ?? 'Its verification failed.'],
        next: 'Choose another one: GET /v1/backups/window shows all that can be restored.',
      });
    const home = view.timelines.find(({ stretches }) =>
      stretches.some(({ bases }) => bases.some((base) => base.backup === backup)),
    );
    const { replicationId, offset } = source;
    const timeline = home?.timeline.id ?? null;
    const point = { group: view.group, timeline, offset, replicationId, at: isoOf(startedAtMs), base: label };
    const notes = state === 'verified' ? [] : [`The backup ${label} has not been verified yet.`];
    return ok({ point: { ...point, streamBytes: 0 }, notes });
  }
  const kept = view.points.find((point) => point.label === label);
  if (kept === undefined) return unknown(view, label);
  const timeline = view.timelines.find((one) => one.timeline.id === kept.timeline);
  const base = timeline === undefined ? undefined : baseFor(timeline, kept.offset);
  if (timeline === undefined || base === undefined || kept.offset > timeline.end) {
    const reasons =
      timeline === undefined
        ? [`Its timeline ${kept.timeline} is not in the repository any more.`]
        : [base === undefined ? whyNoBase(timeline, kept.offset) : `Its timeline ends at offset ${timeline.end}.`];
    return refuseOffset(view, kept.offset, { timeline: kept.timeline, reasons: [`It is ${label}.`, ...reasons] });
  }
  return ok({
    point: {
      group: view.group,
      timeline: kept.timeline,
      offset: kept.offset,
      replicationId: replicationIdAt(timeline, kept.offset),
      at: isoOf(kept.atMs),
      base: base.label,
      streamBytes: kept.offset - base.offset,
    },
    notes: base.isVerified ? [] : [`The backup ${base.label} has not been verified yet.`],
  });
}

function unknown(view: ArchiveView, label: string): Result<LocatedPoint> {
  const newest = [...view.backups.map(({ manifest }) => manifest.label), ...view.points.map((point) => point.label)]
    .toSorted()
    .slice(-5);
  return refuse('not_found', `There is no backup and no safety point ${label} of ${view.group}.`, {
    why: newest.length === 0 ? ['There is none at all.'] : [`The newest are ${newest.join(', ')}.`],
    next: 'GET /v1/backups lists the backups.',
  });
}
