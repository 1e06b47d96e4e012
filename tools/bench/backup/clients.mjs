// The clients of a trial as the bench sees them: a writer at a steady rate, and a probe that notices what users would.
import { fileURLToPath } from 'node:url';

const script = (name) => fileURLToPath(new URL(name, import.meta.url));
const readyMs = 20_000;
const answerMs = 60_000;

async function client(bench, { name, file, plan }) {
  const process = await bench.processes.start({
    name,
    command: bench.node,
    args: ['--disable-warning=ExperimentalWarning', script(file), JSON.stringify(plan)],
    cwd: bench.root,
    talk: true,
  });
  await process.next('ready', readyMs);
  const tell = (message, state) => {
    const answer = process.next(state, answerMs);
    process.send(message);
    return answer;
  };
  return { process, tell };
}

/** A writer of `perSecond` writes; resolves with its first acknowledged one. */
export async function startWriter(bench, { node, perSecond, prefix = 'load', keys = 50_000 }) {
  const plan = { port: node.port, perSecond, prefix, keys };
  const { process, tell } = await client(bench, { name: `writer ${prefix}`, file: 'steady-writer.mjs', plan });
  return {
    /** Resolves with how many were acknowledged and refused. */
    stop: () => tell({ do: 'stop' }, 'stopped'),
    /** How many acknowledged writes that node does not have: `{ acknowledged, lost, lostForMs }`. */
    verify: (other, untilMs) => tell({ do: 'verify', node: other.port, untilMs }, 'verified'),
    end: () => process.stop(500),
  };
}

/** A probe of that node. */
export async function startProbe(bench, node) {
  const { process, tell } = await client(bench, { name: 'probe', file: 'probe.mjs', plan: { port: node.port } });
  return {
    begin: () => process.send({ do: 'begin' }),
    /** `{ p99Ms, worstMs, writeGapMs, readGapMs }` since `begin`. */
    end: () => tell({ do: 'end' }, 'latency'),
  };
}
