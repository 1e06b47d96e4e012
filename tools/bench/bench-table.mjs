// Which benches are there? To add one, add a row.
import { backupBench } from './backup.mjs';
import { detectionBench } from './detection.mjs';
import { dispatchBench } from './dispatch.mjs';
import { dispatchFailuresBench } from './dispatch-failures.mjs';
import { dispatchTableBench } from './dispatch-table.mjs';
import { failoverBench } from './failover.mjs';

/**
 * Each: `{ name, about, seconds, rounds, peers, works, columns, goals, reference, run }`; `run(bench, options)` gives
 * `{ record, works, peers }`, of which report.mjs makes the documents, or the bench's own `report`. `quick`: what --quick means.
 */
export const benches = [
  dispatchBench,
  dispatchFailuresBench,
  dispatchTableBench,
  detectionBench,
  failoverBench,
  backupBench,
];
