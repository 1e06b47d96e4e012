// What happens between the start of a yard and its end? Everything starts at once, is watched, and stops in order.
import { rmSync } from 'node:fs';
import { childLogs } from './child-log.mjs';
import { postGuard } from './guard.mjs';
import { demoPorts as portsForDemos } from './ports.mjs';
import { untilReady } from './readiness.mjs';
import { describeYard, removeRecords } from './run-records.mjs';
import { notReadyLines, readyLines } from './screen.mjs';
import { supervise } from './supervisor.mjs';
import { commonEnvironment, demoSpecs, serviceSpecs } from './yard.mjs';

const readyWithinMs = 60_000;
const serviceGraceMs = 8_000;
const failoverPatienceMs = 8_000;

/** Runs the yard until a signal; then stops it and ends this process (0; 1 after a defect; 130 when hurried). */
export async function runYard(setup) {
  const { home, ports, ephemeral, backends, redisKind, group } = setup;
  const dismissGuard = postGuard(home, { removeHome: ephemeral });
  const logs = childLogs(`${home}/logs`);
  const trimming = setInterval(() => logs.trim(), 10_000);
  const say = (line) => process.stdout.write(`${line}\n`);
  const running = new Map();
  const stopper = new AbortController();

  const leave = (code) => {
    clearInterval(trimming);
    removeRecords(home);
    if (ephemeral) rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    dismissGuard();
    process.exit(code);
  };
  const stop = async (code) => {
    stopper.abort();
    try {
      await stopInOrder(running, ports, redisKind);
    } catch {
      hurry(1);
    }
    leave(code);
  };
  endOnSignals({
    orderly: () => void stop(0),
    hurry: () => hurry(130),
    defect: (error) => {
      console.error('switchyard: defect in the supervisor, stopping everything:', error);
      void stop(1);
    },
  });
  function hurry(code) {
    for (const { kill } of running.values()) kill();
    leave(code);
  }

  const instanceIds = new Map();
  const environment = commonEnvironment(setup, process.env);
  const demoPorts = portsForDemos({ base: setup.demoBase, nowMs: () => performance.now() });
  const specs = [
    ...(redisKind === undefined ? [] : redisKind.specs(setup, group)),
    ...serviceSpecs(setup, environment),
    ...demoSpecs(setup, environment, {
      count: backends,
      demoPorts,
      started: (name, id) => instanceIds.set(name, id),
    }),
  ];
  for (const spec of specs) running.set(spec.name, supervise(spec, { home, logs, say }));
  describeYard(home, {
    ports,
    traffic: `http://127.0.0.1:${ports.traffic}`,
    control: `http://127.0.0.1:${ports.control}`,
    redisKind: redisKind?.name ?? 'url',
    redisPrimaryAtStart: group && { name: group.primary, because: group.because },
  });

  const question = { ports, seen: new Set(), expected: () => [...instanceIds.values()] };
  const first = await untilReady(question, { deadlineMs: performance.now() + readyWithinMs, signal: stopper.signal });
  if (!first.ready && !stopper.signal.aborted) {
    for (const line of notReadyLines({ seconds: readyWithinMs / 1_000, missing: first.missing, home })) say(line);
    await untilReady(question, { deadlineMs: Infinity, signal: stopper.signal });
  }
  if (stopper.signal.aborted) return;
  for (const line of readyLines(await facts(setup, running))) say(line);
}

async function facts(setup, running) {
  const { ports, home, ephemeral, backends, redisKind, group } = setup;
  const breakable = [];
  const add = (name, what) => {
    const pid = running.get(name)?.pid();
    if (pid !== undefined) breakable.push({ what, pid });
  };
  add('demo-1', 'demo-1');
  let redis = 'your Redis';
  if (redisKind !== undefined) {
    const { text, primary } = await redisKind.describe(ports, group);
    add(primary, `Redis primary ${primary}`);
    redis = text;
  }
  return {
    seconds: performance.now() / 1_000,
    backends,
    redis,
    ports,
    home,
    cwd: process.cwd(),
    ephemeral,
    breakable,
    colour: process.stdout.isTTY && !process.env.NO_COLOR,
  };
}

// Who writes goes before who stores: demo back ends drain while the registry still listens; Sentinels go before the
// Redis nodes, or they would take the end of the primary for a failure; replicas before the primaries.
async function stopInOrder(running, ports, redisKind) {
  const deadlineMs = performance.now() + serviceGraceMs;
  const members = (role) => [...running.values()].filter((member) => member.role === role);
  const stopAll = (some, graceMs) => Promise.all(some.map((member) => member.stop(Math.max(graceMs, 500))));
  await stopAll(members('demo'), deadlineMs - performance.now());
  await stopAll(members('service'), deadlineMs - performance.now());
  if (redisKind === undefined) return;
  await redisKind.settled(ports, failoverPatienceMs);
  const order = await redisKind.stopOrder(ports);
  await stopAll(members('sentinel'), 3_000);
  for (const names of order) {
    await stopAll(
      names.map((name) => running.get(name)),
      15_000,
    );
  }
}

function endOnSignals({ orderly, hurry, defect }) {
  let firstMs;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (firstMs === undefined) {
        firstMs = performance.now();
        orderly();
        // Ctrl-C under npm arrives twice: from the terminal, and passed on by npm. That is one wish.
      } else if (performance.now() - firstMs > 1_000) {
        hurry();
      }
    });
  }
  // npm that is killed cannot pass anything on; without this the yard would run on with nobody to stop it.
  if (process.env.npm_lifecycle_event !== undefined) {
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      if (firstMs === undefined) orderly();
      firstMs ??= performance.now();
    }, 500);
  }
  process.on('uncaughtException', defect);
  process.on('unhandledRejection', defect);
  // The terminal may be gone (`npm start | head`); the yard is not.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
}
