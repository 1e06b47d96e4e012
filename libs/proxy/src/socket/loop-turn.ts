// Which turn of the event loop is this? What one turn's poll found readable was there before anything of that turn was written:
// so bytes that are read in the turn in which a request went out cannot be its answer.
import { performance } from 'node:perf_hooks';

/** Rises with every turn; costs about 0.1 us. */
export function loopTurn(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount;
}
