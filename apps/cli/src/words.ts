// How are sizes, times and counts written for people?

/** `12.3 MB`; powers of 1000. */
export function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1_000 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** `250 ms`, `1.25 s`, `3 min`; a dash for null. */
export function msText(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${(ms / 1_000).toFixed(2)} s` : `${Math.round(ms / 60_000)} min`;
}

/** `2026-01-02 03:04:05.678Z` */
export function timeText(iso: string | null): string {
  return iso === null ? '-' : iso.replace('T', ' ');
}
