// How are the three origins started, killed, frozen, and counted?
import { fileURLToPath } from 'node:url';

const plainScript = fileURLToPath(new URL('plain-origin.mjs', import.meta.url));
export const registeredScript = fileURLToPath(new URL('registered-origin.ts', import.meta.url));

/** One origin as a process that can be started again on its port: with the next id, since it has forgotten everything. */
export function createOrigin(bench, { id, port, script = plainScript, ...plan }) {
  const counts = { g: 0, p: 0, x: 0 };
  let generation = 0;
  let running;
  const count = (chunk) => {
    for (const byte of chunk) counts[String.fromCodePoint(byte)] += 1;
  };
  return {
    id,
    port,
    /** Requests that arrived: g GET, p POST, x poison. */
    counts,
    pid: () => running?.pid,
    async start() {
      generation += 1;
      const full = { ...plan, id: generation === 1 ? id : `${id}-${generation}`, port };
      running = await bench.processes.start({
        name: `origin ${full.id}`,
        command: bench.node,
        args: [script, JSON.stringify(full)],
        cwd: bench.root,
        core: bench.cores.others,
        talk: true,
        onOutput: count,
      });
      await running.next('ready', 15_000);
    },
    signal: (name) => running?.signal(name),
    /** Ends it as a deployment would, with time to leave. */
    leave: () => running?.stop(8_000),
    async stop() {
      await running?.stop(200);
    },
  };
}

/** Started origins on these ports, called a, b, c. `more` is what all have in common, `only[id]` what one has. */
export async function startOrigins(bench, { ports, only = {}, ...more }) {
  const origins = ports.map((port, index) => {
    const id = String.fromCodePoint(97 + index);
    return createOrigin(bench, { ...more, ...only[id], id, port });
  });
  await Promise.all(origins.map((origin) => origin.start()));
  return origins;
}
