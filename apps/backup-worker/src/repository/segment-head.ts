// How does the head of a segment lie in front of its bytes? As one line of JSON with a `checksum`: the sha256 of the same document
// without it, so that a single changed bit is noticed.
import { decode, ok, refuse, segmentHeaderSchema, type Result, type SegmentHeader } from '@switchyard/protocol';
import { headerFault, sha256Of } from './segment-chain.ts';

/** Times of a long merged segment are the most of it. */
export const longestHeadBytes = 32 * 1024 * 1024;

const newline = 0x0a;

/** The line, with its end. */
export function writeHead(header: SegmentHeader): Buffer {
  return Buffer.from(`${JSON.stringify({ ...header, checksum: sha256Of(JSON.stringify(header)) })}\n`);
}

/** Where the bytes after the head begin; undefined when its end is not in `start`. */
export function headEnd(start: Buffer): number | undefined {
  const at = start.indexOf(newline);
  return at === -1 ? undefined : at + 1;
}

/** The header in the line, or `backup_corrupt` with what is wrong: not JSON, changed, newer, or in the wrong place. */
export function readHead(
  line: Buffer,
  place: {
    readonly name: string;
    readonly group: string;
    readonly timeline: string;
    readonly from: number;
    readonly to: number;
  },
): Result<SegmentHeader> {
  const bad = (problem: string): Result<never> =>
    refuse('backup_corrupt', `${place.name}: ${problem}.`, { why: [`${place.name}: ${problem}`] });
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return bad('its head is not JSON');
  }
  if (typeof value !== 'object' || value === null) return bad('its head is not JSON');
  const { checksum, ...document } = value as Record<string, unknown>;
  if (document['formatVersion'] !== 1 && typeof document['formatVersion'] === 'number')
    return bad(`it has format version ${document['formatVersion']}; this program reads version 1`);
  if (checksum !== sha256Of(JSON.stringify(document))) return bad('its head was changed: the checksum is wrong');
  const decoded = decode(segmentHeaderSchema, document, place.name);
  if (!decoded.ok) return refuse('backup_corrupt', decoded.error.detail, { why: decoded.error.why ?? [] });
  const header = decoded.value;
  if (
    header.group !== place.group ||
    header.timeline !== place.timeline ||
    header.from !== place.from ||
    header.to !== place.to
  )
    return bad(`its head says that it is ${header.group}/${header.timeline} ${header.from}-${header.to}`);
  const fault = headerFault(header);
  return fault === undefined ? ok(header) : bad(fault);
}
