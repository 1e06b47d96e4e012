// A ledger writer as the bench sees it: started, stopped, asked what is lost.
import { fileURLToPath } from 'node:url';
import { until } from '../waiting.mjs';
import { groupName } from './redis-group.mjs';

const script = fileURLToPath(new URL('ledger-writer.mjs', import.meta.url));
const firstWriteMs = 15_000;
const answerMs = 60_000;

/** Starts one and resolves with its first acknowledged write. */
export async function startWriter(bench, { client, group, address, ...plan }) {
  const place = address === undefined ? { sentinels: group.sentinelAddresses, group: groupName } : { address };
  const process = await bench.processes.start({
    name: `writer (${client})`,
    command: bench.node,
    args: ['--disable-warning=ExperimentalWarning', script, JSON.stringify({ client, place, ...plan })],
    cwd: bench.root,
    talk: true,
  });
  await process.next('ready', firstWriteMs);
  const tell = (message, state) => {
    const answer = process.next(state, answerMs);
    process.send(message);
    return answer;
  };
  return {
    /**
     * Ends the loops: `{ acked, errors, told }`; for each mark (ms of the monotonic clock) when the first acknowledgement later
     * than `graceMs` came, how many, and the longest silence.
     */
    stop: (marks, graceMs) => tell({ do: 'stop', marks, graceMs }, 'stopped'),
    /** Resolves with the first acknowledgement later than `graceMs` after the mark; a Problem when there is none in `ms`. */
    goesOn: (markMs, graceMs, ms = 30_000) =>
      until(async () => (await tell({ do: 'look', marks: [markMs], graceMs }, 'seen')).told[0].firstMs, {
        what: 'a write that is acknowledged again',
        ms,
        everyMs: 200,
      }),
    /** How many acknowledged writes this node does not have: `{ lost, checked, lostForMs }`. */
    async verify({ host, port }) {
      const outcome = await tell({ do: 'verify', node: { host, port } }, 'verified');
      if (outcome.failed !== undefined) throw new Error(`the ledger could not be checked: ${outcome.failed}`);
      return outcome;
    },
    end: () => process.stop(1_000),
    output: () => process.output(),
  };
}
