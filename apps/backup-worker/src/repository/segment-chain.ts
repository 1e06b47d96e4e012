// Does a timeline's stream hang together? Each segment begins where the one before ends, and its chain of hashes goes on from there.
import { createHash } from 'node:crypto';
import type { SegmentHeader, Timeline } from '@switchyard/protocol';

/** Sha256 in 64 hex digits. */
export function sha256Of(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The chain before the first segment of a timeline. */
export function chainStart(timeline: string): string {
  return sha256Of(timeline);
}

/** The chain after pieces with these hashes (of their raw bytes, in order). */
export function extendChain(before: string, parts: Iterable<{ readonly sha256: string }>): string {
  let chain = before;
  for (const { sha256 } of parts) chain = sha256Of(chain + sha256);
  return chain;
}

/** What is wrong with a header in itself; undefined when nothing is. */
export function headerFault(header: Pick<SegmentHeader, 'from' | 'to' | 'parts' | 'chain'>): string | undefined {
  let at = header.from;
  for (const part of header.parts) {
    if (part.from !== at || part.to <= part.from) return `its parts do not join at ${at}`;
    at = part.to;
  }
  if (at !== header.to) return `its parts end at ${at}, it says ${header.to}`;
  return extendChain(header.chain.before, header.parts) === header.chain.after ? undefined : 'its chain is wrong';
}

/**
 * Takes the headers of a timeline in order; says of each what does not fit to the one before, undefined when it does. The first one
 * may begin later than the timeline: retention removes from the beginning.
 */
export function createChainCheck(
  timeline: Pick<Timeline, 'id' | 'start'>,
): (header: Pick<SegmentHeader, 'from' | 'to' | 'parts' | 'chain'>) => string | undefined {
  let last: { readonly to: number; readonly chain: string } | undefined;
  return (header) => {
    const before =
      last ?? (header.from === timeline.start.offset ? { to: header.from, chain: chainStart(timeline.id) } : undefined);
    last = { to: header.to, chain: header.chain.after };
    if (header.from < timeline.start.offset) return 'it begins before its timeline';
    if (before !== undefined && before.to !== header.from)
      return `the stream has no bytes from ${before.to} to ${header.from}`;
    if (before !== undefined && before.chain !== header.chain.before)
      return 'its chain does not go on from the segment before';
    return headerFault(header);
  };
}
