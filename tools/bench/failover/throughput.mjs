// Number 5: how many writes a second does one client get whose writes all have to be on a replica, over a link of 2 ms each way?
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('throughput-writer.mjs', import.meta.url));

export async function throughput({ bench, group, client, seconds }) {
  const plan = {
    client,
    address: `127.0.0.1:${group.nodes[0].knownPort}`,
    callers: 512,
    seconds: Math.min(seconds, 10),
  };
  const process = await bench.processes.start({
    name: `throughput (${client})`,
    command: bench.node,
    args: ['--disable-warning=ExperimentalWarning', script, JSON.stringify(plan)],
    cwd: bench.root,
    talk: true,
  });
  const { perSecond, p50Ms, p99Ms, failed } = await process.next('done', 60_000);
  return { perSecond, p50Ms, p99Ms, failed };
}
