// Does the compose stack keep its promises? Seen from outside: started, scaled, containers killed under load, taken down, started
// again.
//
//   npx node tools/dev/compose-test.mjs [--compose v1|v2]
//
// exit 0: yes; 1: no; 77: this machine has no container engine and can start none (the last line says why; with REQUIRE_DOCKER=1
// that is a failure). Needs nothing to be installed: see tools/docker. Leaves nothing but caches behind: base images, build cache.
import { parseArgs } from 'node:util';
import { ask, idsSeen } from '../../apps/e2e/src/api.ts';
import { steadyLoad } from '../../apps/e2e/src/load.ts';
import { eventually } from '../../libs/testing/src/eventually.ts';
import { Unavailable } from '../docker/command.mjs';
import { baseImages, createEngine, findCompose } from '../docker/engine.mjs';
import { createStack } from '../docker/stack.mjs';

const loadPerSecond = 100;
const { values: options } = parseArgs({ options: { compose: { type: 'string' } } });
/** Asks until the answer is neither an error nor null nor false. */
const soon = (question, timeoutMs, what) => eventually(question, { timeoutMs, intervalMs: 200, what });

const count = { passed: 0, failed: 0 };
const cleanups = [];
const startedMs = performance.now();
const seconds = (sinceMs) => ((performance.now() - sinceMs) / 1_000).toFixed(1);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    console.error(`${signal}: cleaning up`);
    cleanUp().finally(() => process.exit(130));
  });
}

async function main() {
  try {
    const found = createEngine();
    cleanups.push(found.close);
    const engine = await found.open();
    const [compose, images] = await Promise.all([findCompose(engine.env, options.compose), baseImages(engine.env)]);
    console.log(
      `      ${engine.own ? 'an engine of our own' : "the machine's engine"}, compose ${compose.version}, ` +
        `${images.standIns ? 'stand-ins for the base images' : 'the usual base images'} (${seconds(startedMs)} s)`,
    );
    const stack = await createStack({ compose, images });
    cleanups.push(async () => {
      const left = await stack.remove();
      if (left !== '') throw new Error(`left behind: ${left}`);
    });
    await testStack(stack);
  } catch (error) {
    if (error instanceof Unavailable && process.env.REQUIRE_DOCKER !== '1') {
      await cleanUp();
      console.error(`docker compose is NOT tested: ${error.message}`);
      return 77;
    }
    count.failed += 1;
    console.log(`FAIL  ${error.message}`);
  }
  await check('leaves nothing behind', cleanUp);
  console.log(`${count.passed} passed, ${count.failed} failed`);
  return count.failed === 0 ? 0 : 1;
}

/** Ends in reverse order what was begun; all of it, whatever fails. */
async function cleanUp() {
  const failures = [];
  while (cleanups.length > 0)
    await cleanups
      .pop()()
      .catch((error) => failures.push(error.message));
  if (failures.length > 0) throw new Error(failures.join('; '));
}

/** One promise. What it returns is printed beside its name. A broken one is told and counted, and the test goes on. */
async function check(name, prove) {
  const beganMs = performance.now();
  try {
    const detail = await prove();
    count.passed += 1;
    console.log(`ok    ${name} (${detail === undefined ? '' : `${detail}; `}${seconds(beganMs)} s)`);
    return true;
  } catch (error) {
    count.failed += 1;
    console.log(`FAIL  ${name} (${seconds(beganMs)} s): ${error.message}`);
    return false;
  }
}

function assert(holds, message) {
  if (!holds) throw new Error(message);
}

async function testStack(stack) {
  const buildMs = performance.now();
  await stack.build();
  console.log(`      images built (${seconds(buildMs)} s)`);
  const started = await check('starts as a whole, every container healthy', () => stack.up());
  if (!started) {
    await tellState(stack);
    return;
  }
  await check('answers through the traffic port, from 3 back ends in 30 requests', () => threeBackEnds(stack));
  await check('runs without root, capabilities or a writable root, and publishes two ports on loopback', () =>
    contained(stack),
  );
  await check('scales to 5 back ends', () => scalesToFive(stack));
  await check('takes a backup and proves it with the redis-server of its image', () => backsUp(stack));
  await check('loses no GET when a back end is killed, and evicts it within 10 s', () => killBackEnd(stack));
  await check('loses no GET when the Redis primary is killed, and has a new one within 15 s', () => killPrimary(stack));
  await check('makes no node the primary that comes back empty', () => emptyPrimary(stack));
  await check('comes up again with its data and the right primary, though the first to lead is stale', () =>
    downAndUp(stack),
  );
  if (count.failed > 0) await tellState(stack);
}

/** What every request to the control port is expected to be answered with. */
async function api(stack, path, request) {
  const answer = await ask(`${stack.control}${path}`, request);
  assert(answer.status >= 200 && answer.status < 300, `${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer;
}

const instancesOf = async (stack, service) =>
  (await api(stack, `/v1/services/${service}/instances`)).body.instances ?? [];

const group = async (stack) => (await api(stack, '/v1/redis/groups/main')).body;

/** Waits until the group is whole: a primary and two replicas in step. */
const groupWhole = (stack, timeoutMs) =>
  soon(
    async () => {
      const view = await group(stack);
      const replicas = view.nodes.filter(({ role, link }) => role === 'replica' && link === 'up');
      return view.primary !== null && replicas.length === 2 && view.quorum.ok ? view : null;
    },
    timeoutMs,
    'a primary with two replicas',
  );

/** Distinct instances that answer; waits until there are `wanted`. */
const backEnds = (stack, wanted, timeoutMs) =>
  soon(
    async () => {
      const seen = new Set(await idsSeen(stack.traffic, 30));
      return seen.size >= wanted ? seen.size : null;
    },
    timeoutMs,
    `${wanted} back ends in 30 requests`,
  );

/** Runs `faults` under load; rejects when a GET failed. */
async function underLoad(stack, faults) {
  const load = steadyLoad(`${stack.traffic}/whoami`, loadPerSecond);
  let report;
  let detail;
  try {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    detail = await faults();
  } finally {
    report = await load.stop();
  }
  const { sent, failures, slowestMs } = report;
  assert(failures.length === 0, `${failures.length} of ${sent} GETs failed: ${failures.slice(0, 5).join('; ')}`);
  return `${sent} GETs, slowest ${slowestMs.toFixed(0)} ms; ${detail}`;
}

async function threeBackEnds(stack) {
  const { status } = await ask(`${stack.traffic}/`);
  assert(status === 200, `GET / is answered with ${status}`);
  return `${await backEnds(stack, 3, 10_000)} ids`;
}

async function contained(stack) {
  const containers = await stack.containers();
  const wrong = containers.flatMap((one) => [
    ...(one.user === '' || /^(?:0|root)(?::|$)/.test(one.user) ? [`${one.service} runs as root`] : []),
    ...(one.readOnly ? [] : [`${one.service} can write to its root`]),
    ...(one.capDrop.includes('ALL') ? [] : [`${one.service} has capabilities`]),
    ...(one.securityOptions.some((option) => option.startsWith('no-new-privileges'))
      ? []
      : [`${one.service} can gain privileges`]),
    ...(one.init ? [] : [`${one.service} has no init`]),
    ...(one.restart === 'unless-stopped' ? [] : [`${one.service} is not restarted`]),
    ...(one.logLimit === undefined ? [`the log of ${one.service} has no limit`] : []),
  ]);
  assert(wrong.length === 0, wrong.join('; '));
  const published = containers.flatMap((one) => one.published.map((address) => `${one.service} ${address}`)).toSorted();
  const expected = [stack.control, stack.traffic].map((url) => `dispatcher ${url.slice('http://'.length)}`).toSorted();
  assert(published.join() === expected.join(), `published: ${published.join(', ')}`);
  return `${containers.length} containers`;
}

async function scalesToFive(stack) {
  await stack.up({ backends: 5 });
  return `${await backEnds(stack, 5, 20_000)} ids`;
}

async function backsUp(stack) {
  const operation = await finished(stack, await api(stack, '/v1/backups', { method: 'POST', body: { group: 'main' } }));
  const { label } = operation.result;
  await finished(stack, await api(stack, `/v1/backups/${label}/verify`, { method: 'POST' }));
  return label;
}

/** Follows long work to its end; rejects when that is not success. */
async function finished(stack, { headers }) {
  const location = headers.get('location');
  const operation = await soon(
    async () => {
      const { body } = await api(stack, location);
      return ['succeeded', 'failed', 'cancelled'].includes(body.state) ? body : null;
    },
    60_000,
    `the end of ${location}`,
  );
  assert(operation.state === 'succeeded', `${operation.kind} ${operation.state}: ${JSON.stringify(operation.problem)}`);
  return operation;
}

async function killBackEnd(stack) {
  const [victim] = await stack.containers('demo-backend');
  const url = `http://${victim.ip}:4801`;
  const before = (await instancesOf(stack, 'demo-backend')).find((instance) => instance.url === url);
  assert(before !== undefined, `no instance is registered under ${url}`);
  return underLoad(stack, async () => {
    await stack.kill(victim);
    const killedMs = performance.now();
    await soon(
      async () => {
        const now = (await instancesOf(stack, 'demo-backend')).find(({ id }) => id === before.id);
        return now === undefined || (now.liveness === 'dead' && !now.eligible);
      },
      10_000,
      `the eviction of ${before.id}`,
    );
    return `evicted after ${seconds(killedMs)} s`;
  });
}

async function killPrimary(stack) {
  const old = (await groupWhole(stack, 10_000)).primary;
  const victim = await stack.containerAt(old.host);
  const detail = await underLoad(stack, async () => {
    await stack.kill(victim);
    const killedMs = performance.now();
    const next = await soon(
      async () => {
        const { primary } = await group(stack);
        return primary !== null && primary.host !== old.host ? primary : null;
      },
      15_000,
      'a new primary',
    );
    const namedAfter = seconds(killedMs);
    await soon(() => register(stack, 'after-failover'), 15_000, 'a registration');
    return `${next.name} after ${old.name}: named after ${namedAfter} s, registrations after ${seconds(killedMs)} s`;
  });
  await stack.start(victim);
  const whole = await groupWhole(stack, 30_000);
  const { role } = whole.nodes.find(({ host }) => host === old.host);
  assert(role === 'replica' && whole.primary.host !== old.host, `${old.name} came back as ${role}`);
  return detail;
}

const register = (stack, id) =>
  api(stack, `/v1/services/compose-test/instances/${id}`, {
    method: 'PUT',
    body: { url: 'http://127.0.0.1:9', ttl: '1h', check: { type: 'none' } },
  });

// Its files are removed while it still runs, so that it is back before the Sentinels have missed it.
async function emptyPrimary(stack) {
  await api(stack, '/v1/services/compose-kept', { method: 'PUT', body: { policy: 'random' } });
  const old = (await groupWhole(stack, 20_000)).primary;
  const victim = await stack.containerAt(old.host);
  await stack.exec(victim, ['sh', '-c', 'rm -rf /data/*']);
  await stack.kill(victim);
  await stack.start(victim);
  await soon(
    async () => ![null, old.host].includes((await group(stack)).primary?.host ?? null),
    20_000,
    `another primary than ${old.name}`,
  );
  const { primary } = await groupWhole(stack, 30_000);
  assert(primary.host !== old.host, `${old.name} is the primary again`);
  await keepsPolicy(stack, 'compose-kept', 'random');
  return `${primary.name} after ${old.name}`;
}

async function keepsPolicy(stack, service, policy) {
  const { body } = await soon(() => api(stack, `/v1/services/${service}`), 15_000, service);
  assert(body.policy?.policy === policy, `the policy of ${service} is ${JSON.stringify(body.policy)}`);
}

// The node that is dead when the newest data is written must not win over it, though its own file still calls it the primary.
async function downAndUp(stack) {
  const old = (await groupWhole(stack, 20_000)).primary;
  await stack.kill(await stack.containerAt(old.host));
  const led = await soon(
    async () => {
      const { primary } = await group(stack);
      return primary !== null && primary.host !== old.host ? primary : null;
    },
    15_000,
    'a new primary',
  );
  const write = () => api(stack, '/v1/services/compose-newest', { method: 'PUT', body: { policy: 'least-request' } });
  await soon(write, 15_000, 'a write');
  await stack.down();
  const downMs = performance.now();
  await stack.up();
  const upAfter = seconds(downMs);
  const { primary } = await groupWhole(stack, 30_000);
  assert(primary.host === led.host, `${primary.name} leads; before it was ${led.name}, and ${old.name} was stale`);
  await keepsPolicy(stack, 'compose-newest', 'least-request');
  await keepsPolicy(stack, 'compose-kept', 'random');
  await backEnds(stack, 3, 20_000);
  return `${led.name} leads, ${old.name} follows, up after ${upAfter} s`;
}

/** For the reader of a failure: what runs, and the last words of what does not. */
async function tellState(stack) {
  for (const container of await stack.containers().catch(() => [])) {
    const state = `${container.running ? 'running' : 'stopped'}, ${container.health}`;
    console.log(`      ${container.service} ${container.ip}: ${state}`);
    const log = await stack.logs(container, 5).catch(({ message }) => message);
    for (const line of log.trimEnd().split('\n')) console.log(`        ${line.slice(0, 250)}`);
  }
}

process.exitCode = await main();
