// How well is the group archived at this moment? For health, metrics and people: where the stream comes from, and what would be lost if
// everything but the repository were gone now.
import type { Health, Metrics } from '@switchyard/runtime';
import type { ArchiveHead } from './archive.ts';

/** The archive now. */
export interface ArchiveStatus {
  /** `standby`: another worker owns it. `blocked`: the repository cannot be written to. */
  readonly state: 'standby' | 'searching' | 'connecting' | 'copying' | 'following' | 'blocked';
  readonly source: string | null;
  readonly isPrimary: boolean;
  readonly head: ArchiveHead | null;
  /** Age of the oldest byte that is not archived, as far as it is known; 0 = everything is. Null before the first head. */
  readonly rpoMs: number | null;
  /** Bytes of the group's history that are not archived yet; null when the primary does not say. */
  readonly lagBytes: number | null;
  /** For people: why it does not follow, or what stands in its way. */
  readonly detail: string;
}

/** Shows the archive of `group`. */
export interface ArchiveDisplay {
  show(status: ArchiveStatus): void;
  sealed(bytes: number, rawBytes: number): void;
  timelineBegun(reason: string): void;
  merged(segments: number): void;
}

/** Health check `archive`, and the metrics. `status` is asked at each scrape. */
export function createArchiveDisplay(options: {
  readonly metrics: Metrics;
  readonly health: Health;
  readonly status: () => ArchiveStatus;
}): ArchiveDisplay {
  const { metrics, health, status } = options;
  metrics.gauge(
    'archive_rpo_seconds',
    'Age of the oldest write that is not archived yet; 0 = all are; -1 = nothing is',
    {
      collect: (gauge) => gauge.set((status().rpoMs ?? -1_000) / 1_000),
    },
  );
  metrics.gauge('archive_lag_bytes', 'Bytes of the replication history that are not archived yet; -1 = unknown', {
    collect: (gauge) => gauge.set(status().lagBytes ?? -1),
  });
  metrics.gauge('archive_offset_bytes', 'Everything before this offset of the history is archived', {
    collect: (gauge) => gauge.set(status().head?.offset ?? -1),
  });
  metrics.gauge('archive_following', 'Whether the stream is followed: 0 no, 1 a replica, 2 the primary', {
    collect: (gauge) => {
      const { state, isPrimary } = status();
      const followed = isPrimary ? 2 : 1;
      gauge.set(state === 'following' || state === 'blocked' ? followed : 0);
    },
  });
  const segments = metrics.counter('archive_segments_total', 'Segments that were stored');
  const stored = metrics.counter('archive_bytes_total', 'Bytes of the segments that were stored', ['form']);
  const timelines = metrics.counter('archive_timelines_total', 'Timelines that were begun, by their reason', [
    'reason',
  ]);
  const mergedSegments = metrics.counter('archive_merged_segments_total', 'Segments that became part of a larger one');

  return {
    show: ({ state, source, isPrimary, detail }) => {
      const isWell = state === 'following' || state === 'standby' || state === 'copying';
      const from = source === null ? '' : `${isPrimary ? 'the PRIMARY ' : ''}${source}: `;
      health.set('archive', {
        ok: isWell && !isPrimary,
        critical: false,
        detail: `${state}; ${from}${detail}`.slice(0, 500),
      });
    },
    sealed: (bytes, rawBytes) => {
      segments.inc();
      stored.inc({ form: 'stored' }, bytes);
      stored.inc({ form: 'raw' }, rawBytes);
    },
    timelineBegun: (reason) => timelines.inc({ reason }),
    merged: (count) => mergedSegments.inc(count),
  };
}
