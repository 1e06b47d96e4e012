// An origin as a process, for proxies that find out by themselves whether it lives. On SIGTERM it does what it can for
// them: its health check says no for a second, then it stops accepting and answers what is under way.
import { createOrigin } from './origin.mjs';

const drainDelayMs = 1_000;
const longestCloseMs = 3_000;

const origin = createOrigin(JSON.parse(process.argv[2]));
process.once('SIGTERM', () => {
  origin.announceLeave();
  setTimeout(() => void close(), drainDelayMs);
});
process.on('disconnect', () => process.exit(0));
await origin.listen();
process.send({ state: 'ready' });

async function close() {
  setTimeout(() => process.exit(1), longestCloseMs).unref();
  await origin.close();
  process.exit(0);
}
