// Does the data plane hold for a million mutated messages? The generator and the oracles of libs/proxy/src/fuzz.test.ts, as long as
// one likes; says the seed, the pace and the memory as it goes, and leaves with 1 on the first kind of finding.
//
//   node_modules/.bin/node tools/chaos/fuzz-proxy.mjs --inputs 1000000 --seed 7        a long run
//   ... --seed 7 --from 4711 --inputs 1 --concurrency 1                                 client 4711 of it, by itself
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseArgs } from 'node:util';
import { runFuzz } from '../../libs/proxy/src/fuzz-run-fixture.ts';

const reportEveryMs = 5_000;
/** After so many inputs the books of the run itself are full; what grows from then on is the engine's. */
const warmInputs = 100_000;
const grownBytes = 96 * 1024 * 1024;

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    from: { type: 'string', default: '1' },
    concurrency: { type: 'string', default: '96' },
  },
});
const [inputs, seed, from, concurrency] = [values.inputs, values.seed, values.from, values.concurrency].map(Number);
if (![inputs, seed, from, concurrency].every((number) => Number.isSafeInteger(number) && number >= 0)) {
  console.error('fuzz-proxy: --inputs, --seed, --from and --concurrency take whole numbers.');
  process.exit(2);
}
console.log(`fuzz-proxy: ${inputs} inputs, seed ${seed}, from client ${from}, ${concurrency} at once`);

const crashed = (error) => {
  console.error(`fuzz-proxy: FINDING: the process would have died (seed ${seed})\n${error?.stack ?? error}`);
  process.exit(1);
};
process.on('uncaughtException', crashed);
process.on('unhandledRejection', crashed);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
const heldBytes = () => {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const mebibytes = (bytes) => `${Math.round(bytes / 1024 / 1024)} MiB`;

const startedMs = performance.now();
let reportedMs = startedMs;
let warmBytes;
let grown;
const progress = (report) => {
  const nowMs = performance.now();
  if (nowMs - reportedMs < reportEveryMs) return;
  reportedMs = nowMs;
  const held = heldBytes();
  if (report.inputs > warmInputs) warmBytes ??= held;
  if (warmBytes !== undefined && held > warmBytes + grownBytes)
    grown = `${mebibytes(warmBytes)} grew to ${mebibytes(held)}`;
  const pace = Math.round((report.inputs / (nowMs - startedMs)) * 1_000);
  const { findings, raced } = report;
  const facts = `${pace}/s, held ${mebibytes(held)}, raced ${raced}, findings ${findings.length}`;
  console.log(`fuzz-proxy: ${report.inputs} of ${inputs} inputs, ${facts}`);
};

const report = await runFuzz({ seed, inputs, from, concurrency, progress });
for (const { what, detail, input } of report.findings) {
  console.error(`fuzz-proxy: FINDING: ${what} (seed ${seed}, client ${input ?? 'unknown'})\n  ${detail}`);
}
if (grown !== undefined) console.error(`fuzz-proxy: FINDING: memory is not bounded: ${grown} (seed ${seed})`);
const seconds = (performance.now() - startedMs) / 1_000;
console.log(
  `fuzz-proxy: ${report.inputs} inputs (${report.clients} clients, ${report.answers} answers read) in ${seconds.toFixed(1)} s, ` +
    `${Math.round(report.inputs / seconds)}/s, seed ${seed}, ${report.findings.length} findings`,
);
process.exit(report.findings.length > 0 || grown !== undefined ? 1 : 0);
