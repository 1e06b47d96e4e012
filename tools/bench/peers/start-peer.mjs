// How is a proxy started for a measurement? Alone on its core, and only once it answers.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ask, until } from '../waiting.mjs';

/** A folder for what this peer writes: below the one that the bench removes at its end. */
export function peerFolder(bench, peer) {
  const folder = join(bench.directory, peer.name);
  mkdirSync(folder, { recursive: true });
  // workers of a proxy that root started are somebody else
  chmodSync(folder, 0o755);
  return folder;
}

/** Starts it and resolves when it accepts requests: `{ port, pid, isRunning, output, stop }`. */
export async function startPeer(bench, { peer, port, args, ...plan }) {
  const server = await bench.processes.start({
    name: peer.title,
    core: bench.cores.measured,
    args: args.map(String),
    ...plan,
  });
  await until(
    async () => {
      if (!server.isRunning()) return true;
      return (await ask(`http://127.0.0.1:${port}/`, { ms: 1_000 })).status > 0;
    },
    { what: `${peer.title} listens`, ms: 15_000 },
  );
  if (!server.isRunning()) throw new Error(`${peer.title} has ended.\n${server.output()}`);
  return {
    port,
    pid: server.pid,
    isRunning: server.isRunning,
    output: server.output,
    stop: () => server.stop(3_000),
  };
}
