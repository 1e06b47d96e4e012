// What is a backup called? By the moment its data is from, so that names sort as time does and say what they hold.
import { backupLabelSchema } from '@switchyard/protocol';

/**
 * The label of a full backup whose data is from `atMs` (unix milliseconds): `20260102T030405.678Z-full`.
 * When it is taken, the next free millisecond is used: two backups never share a label.
 */
export function labelFor(atMs: number, isTaken: (label: string) => boolean): string {
  for (let ms = atMs; ; ms += 1) {
    const label = `${compactTime(ms)}-full`;
    if (!isTaken(label)) return label;
  }
}

/** The moment in a label, in unix milliseconds; undefined when it is no label. */
export function labelTimeMs(label: string): number | undefined {
  if (!backupLabelSchema.safeParse(label).success) return undefined;
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3}Z)/.exec(label);
  if (parts === null) return undefined;
  const [, year, month, day, hours, minutes, seconds] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}`);
  // Date.parse turns some impossible days into the next possible ones.
  return Number.isFinite(ms) && label.startsWith(compactTime(ms)) ? ms : undefined;
}

/** The id of a timeline that begins at `atMs`: `20260102T030405.678Z`; after that of `previous`, also when the clock was set back. */
export function timelineIdFor(atMs: number, previous: string | null): string {
  const id = compactTime(atMs);
  if (previous === null || id > previous) return id;
  const before = labelTimeMs(`${previous}-full`);
  return compactTime(Math.max(atMs, (before ?? atMs) + 1));
}

function compactTime(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]/g, '');
}
