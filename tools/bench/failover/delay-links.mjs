// The slow links of one group, as a process of their own: they must not share a thread with whoever measures.
import { startDelayProxy } from '@switchyard/testing';

const { delayMs, onlyFrom, links } = JSON.parse(process.argv[2] ?? '{}');
process.on('disconnect', () => process.exit(0));
for (const { port, to } of links) await startDelayProxy({ to, delayMs, onlyFrom, port });
process.send({ state: 'ready' });
