// What do the metrics of several workers say together? Counters and histograms are summed, over those that have ended too, so that
// they never go backwards; gauges are of one process each and get its slot as the label `worker`.
// Format: prometheus.io/docs/instrumenting/exposition_formats, as our own services write it (no timestamps).

/** The text of one worker. */
export interface WorkerText {
  readonly slot: number;
  readonly text: string;
}

/** Sums of workers that are no more: series by what stands before its value. */
export type EndedSums = Map<string, number>;

/** Series of ended workers that are kept; further ones are let go. */
const mostEndedSeries = 100_000;

interface Family {
  readonly head: string[];
  readonly isSummed: boolean;
  readonly sums: Map<string, number>;
  readonly gauges: string[];
}

/** One text for all. Of `ended`, only what belongs to a family that somebody alive has. */
export function mergeTexts(texts: readonly WorkerText[], ended: EndedSums): string {
  const families = new Map<string, Family>();
  for (const { slot, text } of texts) readInto(families, text, slot);
  for (const [series, value] of ended) {
    const family = families.get(familyOf(series, families) ?? '');
    if (family?.isSummed) add(family.sums, series, value);
  }
  const lines: string[] = [];
  for (const { head, sums, gauges } of families.values()) {
    for (const line of head) lines.push(line);
    for (const [series, value] of sums) lines.push(`${series} ${value}`);
    for (const line of gauges) lines.push(line);
  }
  return `${lines.join('\n')}\n`;
}

/** Takes in the last text of a worker that has ended. */
export function addEnded(ended: EndedSums, text: string): void {
  const families = new Map<string, Family>();
  readInto(families, text, 0);
  for (const { sums } of families.values()) {
    for (const [series, value] of sums) {
      if (ended.has(series) || ended.size < mostEndedSeries) add(ended, series, value);
    }
  }
}

/** Lets sums go of instances that no text has any more. To be called with the texts of all workers that are alive. */
export function forgetGone(ended: EndedSums, texts: readonly WorkerText[]): void {
  const known = new Set<string>();
  for (const { text } of texts) for (const [label] of text.matchAll(instanceLabels)) known.add(label);
  for (const series of ended.keys()) {
    const [label] = series.match(instanceLabels) ?? [];
    if (label !== undefined && !known.has(label)) ended.delete(series);
  }
}

const instanceLabels = /service="(?:[^"\\]|\\.)*",instance="(?:[^"\\]|\\.)*"/g;

function readInto(families: Map<string, Family>, text: string, slot: number): void {
  for (const line of text.split('\n')) {
    if (line.startsWith('# TYPE ')) {
      const [, , name = '', type = ''] = line.split(' ');
      const isSummed = type === 'counter' || type === 'histogram';
      const made = families.get(name);
      if (made && made.head.length < 2) families.set(name, { ...made, isSummed, head: [...made.head, line] });
      else if (!made) families.set(name, { head: [line], isSummed, sums: new Map(), gauges: [] });
    } else if (line.startsWith('# HELP ')) {
      const name = line.split(' ', 3)[2] ?? '';
      if (!families.has(name)) families.set(name, { head: [line], isSummed: false, sums: new Map(), gauges: [] });
    } else if (line !== '' && !line.startsWith('#')) {
      const end = line.lastIndexOf(' ');
      const series = line.slice(0, end);
      const family = families.get(familyOf(series, families) ?? '');
      if (family?.isSummed) add(family.sums, series, Number(line.slice(end + 1)));
      else family?.gauges.push(`${withWorker(series, slot)}${line.slice(end)}`);
    }
  }
}

function familyOf(series: string, families: ReadonlyMap<string, Family>): string | undefined {
  const brace = series.indexOf('{');
  const name = brace < 0 ? series : series.slice(0, brace);
  if (families.has(name)) return name;
  const base = name.replace(/_(?:bucket|sum|count)$/, '');
  return families.has(base) ? base : undefined;
}

function withWorker(series: string, slot: number): string {
  const brace = series.indexOf('{');
  const label = `worker="${slot}"`;
  return brace < 0 ? `${series}{${label}}` : `${series.slice(0, brace + 1)}${label},${series.slice(brace + 1)}`;
}

function add(sums: Map<string, number>, series: string, value: number): void {
  sums.set(series, (sums.get(series) ?? 0) + value);
}
