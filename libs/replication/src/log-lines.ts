// Which lines of a node's or a Sentinel's log belong to a failover? Those of its time, by the time that they say themselves.
//
// Redis writes `pid:role dd Mon yyyy hh:mm:ss.mmm * text` (server.c, serverLogRaw), in the local time of its process, without
// saying which that is. Lines of any other form are never taken: a file that is no log of a Redis gives nothing away.

/** From when to when, ms since 1970, and how much of it. */
export interface LogWindow {
  readonly fromMs: number;
  readonly toMs: number;
  /** Ms that the log's clock face is ahead of UTC. */
  readonly aheadMs: number;
  readonly mostLines: number;
  readonly mostBytes: number;
}

const redisLine =
  /^\d+:[A-Z] (\d{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) (\d{2}):(\d{2}):(\d{2})\.(\d{3}) [.\-*#] ./;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const longestLine = 400;

/** What the line's clock face shows, as ms since 1970 if it were UTC; null when it is no line of a Redis log. */
export const parseLogTime = (line: string): number | null => {
  const [, day, month, year, hour, minute, second, ms] = redisLine.exec(line) ?? [];
  if (month === undefined) return null;
  const numbers = [day, hour, minute, second, ms].map(Number) as [number, number, number, number, number];
  return Date.UTC(Number(year), months.indexOf(month), ...numbers);
};

/** The lines of the window, in their order; when there are too many, the middle is left out and counted. */
export const selectLogLines = (text: string, window: LogWindow): readonly string[] => {
  const found = text.split('\n').flatMap((raw) => {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    const shownMs = parseLogTime(line);
    if (shownMs === null) return [];
    const atMs = shownMs - window.aheadMs;
    return atMs >= window.fromMs && atMs <= window.toMs ? [line.slice(0, longestLine)] : [];
  });
  return shortened(found, window);
};

/** The beginning says what broke, the end what came of it: both stay, up to half of what is allowed each. */
const shortened = (
  lines: readonly string[],
  { mostLines, mostBytes }: Pick<LogWindow, 'mostLines' | 'mostBytes'>,
): readonly string[] => {
  const fitting = (from: readonly string[]): number => {
    let bytes = 0;
    let count = 0;
    for (const line of from) {
      bytes += line.length + 1;
      if (bytes > mostBytes / 2 || count >= Math.floor(mostLines / 2)) break;
      count += 1;
    }
    return count;
  };
  const size = lines.reduce((sum, line) => sum + line.length + 1, 0);
  if (lines.length <= mostLines && size <= mostBytes) return lines;
  const first = fitting(lines);
  const last = Math.min(fitting(lines.toReversed()), lines.length - first);
  const omitted = lines.length - first - last;
  return [
    ...lines.slice(0, first),
    `(${String(omitted)} lines were left out)`,
    ...(last === 0 ? [] : lines.slice(-last)),
  ];
};
