// How is a paced client run and its effect on a process measured?
import { fileURLToPath } from 'node:url';
import { watchCpu } from '../process-costs.mjs';

const script = fileURLToPath(new URL('paced-client.mjs', import.meta.url));

/**
 * A client at a fixed rate. `go()` begins and resolves with what it saw; `enough()` ends it early.
 * `kinds`: `{ name, method, path, bodyBytes?, share, untimed? }`, shares add up to 1; latencies are those of the kinds that are not untimed. Answers are looked for every `pollMs` at least.
 */
export async function pacedClient(bench, options) {
  const { port, ratePerSecond, seconds, kinds, connections = 32, warm = connections, timeoutMs = 5_000 } = options;
  const { spacing = 'even', seed = 1, pollMs = 0.1 } = options;
  const plan = { port, ratePerSecond, seconds, connections, warm, spacing, seed, kinds, timeoutMs, pollMs };
  const client = await bench.processes.start({
    name: 'paced client',
    command: bench.node,
    args: [script, JSON.stringify(plan)],
    core: bench.cores.others,
    talk: true,
  });
  await client.next('ready', 10_000);
  return {
    async go() {
      const done = client.next('done', seconds * 1_000 + timeoutMs + 10_000);
      client.send({ order: 'go' });
      const { result } = await done;
      await client.ended;
      return result;
    },
    enough: () => client.send({ order: 'enough' }),
    stop: () => client.stop(500),
  };
}

/** Runs a paced client and adds `cpuUsPerRequest` of the process `pid` (when given) and `foreignPart` of its core. */
export async function measurePaced(bench, { pid, ...options }) {
  const client = await pacedClient(bench, options);
  try {
    const watched = watchCpu({ pid, core: bench.cores.measured });
    const result = await client.go();
    const { usedUs, foreignPart } = watched();
    const cpuUsPerRequest = pid === undefined || result.ended === 0 ? undefined : usedUs / result.ended;
    return { ...result, perSecond: (result.ended * 1_000) / result.tookMs, cpuUsPerRequest, foreignPart };
  } finally {
    await client.stop();
  }
}
