// How is a copy kept from taking all of the network? What comes faster than it may is waited with; the source waits behind it.
import { Readable } from 'node:stream';
import type { Clock } from '@switchyard/runtime';

/** `source` at most so many bytes a second; 0 = as fast as it comes. */
export function paced(
  source: Readable,
  {
    bytesPerSecond,
    clock,
    signal,
  }: { readonly bytesPerSecond: number; readonly clock: Clock; readonly signal: AbortSignal },
): Readable {
  if (bytesPerSecond === 0) return source;
  async function* slowly(): AsyncGenerator<Buffer> {
    const startedMs = clock.monotonicMs();
    let bytes = 0;
    for await (const chunk of source as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      const aheadMs = (bytes / bytesPerSecond) * 1_000 - (clock.monotonicMs() - startedMs);
      if (aheadMs > 1) await clock.sleep(aheadMs, signal);
      yield chunk;
    }
  }
  return Readable.from(slowly(), { objectMode: false });
}
