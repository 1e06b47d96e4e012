// The slow links of one group, as a process of their own: they must not share a thread with whoever measures.
import { startDelayProxy } from '@switchyard/testing';

const { delayMs, onlyFrom, links } = JSON.parse(process.argv[2] ?? '{}');
process.on('disconnect', () => process.exit(0));
const proxies = new Map();
for (const { port, to } of links) proxies.set(port, await startDelayProxy({ to, delayMs, onlyFrom, port }));
// As when a machine loses its power: what is under way is lost. Whoever comes next finds the link whole.
process.on('message', ({ drop }) => {
  proxies.get(drop)?.cut('reset');
  proxies.get(drop)?.mend();
});
process.send({ state: 'ready' });
