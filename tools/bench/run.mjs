// `npm run bench`: measures the project beside others and writes down what came out.
import { existsSync, mkdirSync, mkdtempSync, chmodSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { bootstrap, repositoryRoot as root } from '../dev/bootstrap.mjs';
import { findNode } from '../dev/dependencies.mjs';
import { note, Problem } from '../dev/problem.mjs';
import { readArguments, usage } from './arguments.mjs';
import { benches } from './bench-table.mjs';
import { coresFor, loadAverage, machineFacts } from './machine.mjs';
import { createProcesses } from './processes.mjs';
import { reportOf } from './report.mjs';

const interrupted = 130;

const asked = readArguments(process.argv.slice(2), benches);
if (asked.kind === 'help') console.log(usage);
else if (asked.kind === 'list') list();
else if (asked.kind === 'wrong') {
  console.error(`${asked.why}\n\n${usage}`);
  process.exitCode = 2;
} else {
  if (process.argv.length === 2) list();
  try {
    await runAll(asked);
  } catch (error) {
    console.error(error instanceof Problem ? `switchyard: ${error.message}` : error);
    process.exitCode = 1;
  }
}

function list() {
  for (const { name, about, peers, works } of benches) {
    console.log(`${name}: ${about}`);
    console.log(`  peers: ${peers.map((peer) => peer.name).join(', ')}`);
    console.log(`  work: ${works.join(', ')}`);
  }
}

async function runAll({ runs, output = join(root, 'docs/generated'), install }) {
  if (process.platform !== 'linux') {
    throw new Problem(`The benches read /proc, and this is ${process.platform}.`, { next: 'run them on Linux.' });
  }
  // Only where nothing is installed yet: a bench does not change the packages of a checkout in use.
  const isInstalled = existsSync(join(root, 'node_modules/@switchyard/proxy'));
  const node = isInstalled ? findNode(root) : (await bootstrap({ needRedis: false })).node;
  const directory = mkdtempSync(join(tmpdir(), 'switchyard-bench-'));
  chmodSync(directory, 0o755);
  const cache = join(root, '.switchyard/bench');
  mkdirSync(cache, { recursive: true });
  const processes = createProcesses();
  const cleanUp = async () => {
    await processes.endAll();
    rmSync(directory, { recursive: true, force: true });
  };
  const onSignal = () => {
    note('interrupted; ending what was started');
    void cleanUp().finally(() => process.exit(interrupted));
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, onSignal);
  process.on('exit', () => {
    processes.killAll();
    rmSync(directory, { recursive: true, force: true });
  });
  const shared = { root, node, directory, cache, install, processes, cores: coresFor() };
  try {
    for (const { bench, ...settings } of runs) {
      const load = loadAverage();
      if (load > 1) note(`load average ${load}: others are at work on this machine, the numbers will show it`);
      const machine = await machineFacts(node);
      const outcome = await bench.run({ ...shared }, settings);
      await processes.endAll();
      const { seconds, rounds, works } = settings;
      const report = bench.report ?? reportOf;
      const places = [directory, root, homedir()];
      write(bench, output, report({ bench, machine, settings: { seconds, rounds, works }, outcome, places }));
    }
  } finally {
    await cleanUp();
  }
}

function write(bench, output, { markdown, json, plots = [] }) {
  mkdirSync(output, { recursive: true });
  const path = join(output, `bench-${bench.name}`);
  writeFileSync(`${path}.md`, markdown);
  writeFileSync(`${path}.json`, json);
  for (const { file, text } of plots) writeFileSync(join(output, file), text);
  console.log(markdown);
  note(`written: ${relative(process.cwd(), path)}.md and .json`);
}
