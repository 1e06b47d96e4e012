// What becomes of acknowledged writes when the network is cut? Three Redis nodes and Sentinels in network namespaces, two clients with
// ledgers, with and without the replication-manager; the cut is mended in the end. Load and addresses stay inside the namespaces.
//
//   sudo node tools/chaos/redis-partition.mjs                                every scenario, with and without the manager: minutes
//   sudo node tools/chaos/redis-partition.mjs minority --manager without     one of them
//   ... --seconds 12     how long the network stays cut        --json     the outcome as data on stdout, the timeline on stderr
//
// Needs root, iproute2, iptables and redis-server. Leaves with 1 when a group did not heal, failed over though it must not (or
// did not though it must), or lost a write outside the cut.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createProcesses } from '../bench/processes.mjs';
import { networkOf, whyNoNamespaces } from './partition-network.mjs';
import { runScenario } from './partition-run.mjs';
import { scenarios } from './partition-scenarios.mjs';

const machines = ['m1', 'm2', 'm3', 'near', 'far', 'control'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    manager: { type: 'string', default: 'both' },
    seconds: { type: 'string', default: '12' },
    json: { type: 'boolean', default: false },
    inside: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const unknown = positionals.find((name) => !scenarios.some((one) => one.name === name));
if (unknown !== undefined)
  fail(`there is no scenario ${unknown}; there are: ${scenarios.map((one) => one.name).join(', ')}.`);
if (!['with', 'without', 'both'].includes(values.manager)) fail('--manager takes with, without or both.');
if (!(seconds >= 3 && seconds <= 120)) fail('--seconds takes 3 to 120.');

if (values.inside === undefined) await outside();
else await inside(JSON.parse(values.inside));

/** Makes the network, does the work in one of its namespaces (nobody reaches the nodes from here), takes the network away. */
async function outside() {
  const why = whyNoNamespaces();
  if (why !== undefined) fail(`${why}.`);
  const directory = mkdtempSync(join(tmpdir(), 'switchyard-partition-'));
  const network = networkOf(machines, process.pid);
  network.create();
  const plan = JSON.stringify({ directory, id: process.pid });
  const [command, ...words] = [
    ...network.inside('control'),
    process.execPath,
    ...process.argv.slice(1),
    '--inside',
    plan,
  ];
  // the channel tells the inner one when this one is gone
  const child = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGTERM'));
  process.exitCode = await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  network.remove();
  rmSync(directory, { recursive: true, force: true });
}

async function inside({ directory, id }) {
  const processes = createProcesses();
  const network = networkOf(machines, id);
  const leave = () => {
    processes.killAll();
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, leave);
  process.on('disconnect', () => {
    // whoever made the network was killed: it goes with this one
    processes.killAll();
    network.remove();
    rmSync(directory, { recursive: true, force: true });
    process.exit(1);
  });
  const tell = values.json ? console.error : console.log;
  const chosen = scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const managers = { with: [true], without: [false], both: [false, true] }[values.manager];
  const outcomes = [];
  for (const scenario of chosen) {
    for (const managed of managers) {
      tell(`\n== ${scenario.name}, ${managed ? 'with' : 'without'} the replication-manager: ${scenario.about}`);
      try {
        outcomes.push(await runScenario({ network, processes, directory, scenario, managed, seconds, tell }));
      } catch (error) {
        outcomes.push({ scenario: scenario.name, managed, wrong: [error.message] });
        tell(`  failed: ${error.message}`);
      } finally {
        network.mend();
        await processes.endAll();
      }
    }
  }
  tell('');
  if (values.json) console.log(JSON.stringify(outcomes, null, 2));
  else
    console.table(
      outcomes.map(({ wrong, ...one }) => ({ ...one, verdict: wrong.length === 0 ? 'as it should be' : 'WRONG' })),
    );
  for (const { scenario, managed, wrong } of outcomes) {
    for (const text of wrong) tell(`${scenario}, ${managed ? 'with' : 'without'} the manager: ${text}`);
  }
  process.exit(outcomes.every(({ wrong }) => wrong.length === 0) ? 0 : 1);
}

function fail(text) {
  console.error(`redis-partition: ${text}`);
  process.exit(2);
}
