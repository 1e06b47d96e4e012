// Which of the wanted peers are there? One that cannot be had is told with the way to mend it, and the rest goes on.
import { Problem } from '../dev/problem.mjs';

/** `{ peers: [{ peer, prepared }], missing: [{ peer, why }] }`, one after the other: package managers do not like company. */
export async function preparePeers(bench, wanted) {
  const peers = [];
  const missing = [];
  for (const peer of wanted) {
    try {
      peers.push({ peer, prepared: await peer.prepare(bench) });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      missing.push({ peer, why: error.message });
    }
  }
  return { peers, missing };
}
