// `npm test`: every check that CI runs, after the same bootstrap as `npm start`. `npm run check`: the fast part.
import { mkdirSync } from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { bootstrap, repositoryRoot as root } from './bootstrap.mjs';
import { ensureObjectServer } from './object-server.mjs';
import { Problem } from './problem.mjs';
import { runAgain } from './test-again.mjs';
import { clearResults, runStep } from './test-run.mjs';
import { testSteps } from './test-steps.mjs';
import { failureText, tally } from './test-tally.mjs';

const usage = `Usage: npm test [-- OPTIONS]     (npm run check: the same with --fast)

  --fast            format, lint, house rules, types, unit tests; nothing that starts processes for long
  -p, --projects A,B  only these projects, for instance -p @switchyard/registry (format and lint stay whole)
  SWITCHYARD_REDIS_KIND=cluster npm test -- -p @switchyard/e2e
                    all end-to-end tests on a Redis Cluster (otherwise the core of them runs there, after all on Sentinels)
  (a test file that failed beside others is run once more, alone; what fails twice has failed)
  --minutes N       give up after so many minutes in all (default 60)`;

const stopper = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stopper.abort());

const options = readOptions(process.argv.slice(2));
if (options.wrong !== undefined) {
  console.error(`${options.wrong}\n\n${usage}`);
  process.exit(2);
} else if (options.help) {
  console.log(usage);
} else {
  process.exitCode = await main(options);
}

function readOptions(words) {
  const wanted = { fast: false, minutes: 60 };
  for (let index = 0; index < words.length; index += 1) {
    const [name, inline] = words[index].split(/=(.*)/s);
    const value = () => inline ?? words[(index += 1)];
    if (name === '--fast') wanted.fast = true;
    else if (name === '-h' || name === '--help') wanted.help = true;
    else if (name === '-p' || name === '--projects') wanted.projects = value();
    else if (name === '--minutes') wanted.minutes = Number(value());
    else return { wrong: `Unknown option: ${words[index]}` };
  }
  if (words.length > 0 && wanted.projects === '') return { wrong: '-p needs the name of a project' };
  if (!(wanted.minutes > 0)) return { wrong: '--minutes takes a number above 0' };
  return wanted;
}

async function main({ fast, projects, minutes }) {
  let tools;
  try {
    tools = await bootstrap({ needRedis: !fast, signal: stopper.signal });
    // After it: two package managers at once would wait for each other's lock.
    if (!fast) await ensureObjectServer({ signal: stopper.signal });
  } catch (error) {
    if (stopper.signal.aborted) return 130;
    console.error(error instanceof Problem ? `switchyard: ${error.message}` : error);
    console.log('0 passed, 1 failed');
    return 1;
  }
  const { SWITCHYARD_REDIS_KIND: redisKind } = process.env;
  const steps = testSteps({ root, fast, projects, redisKind });
  const logs = join(root, '.switchyard', 'test');
  mkdirSync(logs, { recursive: true });
  clearResults(root, steps);
  const env = environment(tools);

  const total = { passed: 0, failed: 0 };
  const failures = [];
  for (const step of steps) {
    const log = join(logs, `${step.name.replaceAll(' ', '-')}.log`);
    const left = () => minutes - performance.now() / 60_000;
    const context = { root, env, log, signal: stopper.signal };
    const first = await runStep(step, { ...context, minutes: Math.min(step.minutes, left()) });
    if (stopper.signal.aborted) return 130;
    const result = step.counts === 'jest' ? await runAgain(step, first, { ...context, minutes: left() }) : first;
    if (stopper.signal.aborted) return 130;
    const count = tally(step, result);
    total.passed += count.passed;
    total.failed += count.failed;
    console.log(stepLine(step, result, count));
    for (const name of result.unsteady ?? []) console.log(`      failed beside others, passed alone: ${name}`);
    if (count.failed > 0)
      failures.push(`\n${step.name} failed (${relative(root, log)}):\n${failureText(step, result)}`);
  }
  for (const failure of failures) console.log(failure);
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

function stepLine({ name, counts }, { seconds }, { passed, failed, skipped }) {
  if (skipped !== undefined) return `skip  ${name}: ${skipped}`;
  const numbers = counts === 'step' ? '' : `: ${passed} passed${failed > 0 ? `, ${failed} failed` : ''}`;
  return `${failed === 0 ? 'ok  ' : 'FAIL'}  ${name}${numbers} (${seconds.toFixed(1)} s)`;
}

function environment({ node, redisServer }) {
  const env = { ...process.env };
  // A caller's options would reach every tool at once, and a caller's Redis is not for tests.
  for (const name of Object.keys(env)) if (/^(NODE_OPTIONS|NO_COLOR|SWITCHYARD_.*)$/.test(name)) delete env[name];
  const redisPlace = redisServer === undefined ? [] : [dirname(redisServer)];
  return {
    ...env,
    PATH: [join(root, 'node_modules', '.bin'), dirname(node), ...redisPlace, env.PATH ?? ''].join(delimiter),
    FORCE_COLOR: '0',
    NX_DAEMON: 'false',
    NX_TUI: 'false',
    ...(redisServer === undefined ? {} : { SWITCHYARD_REDIS_SERVER: redisServer }),
  };
}
