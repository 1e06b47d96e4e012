// What goes wrong while clients are served? A table of troubles for one of three origins, at a steady rate.
import { ask, pause } from './waiting.mjs';

const get = (share) => ({ name: 'idempotent', method: 'GET', path: '/', share });
const post = (share) => ({ name: 'other', method: 'POST', path: '/echo', bodyBytes: 200, share });

/**
 * `trouble({ origins, port, seconds })` makes it and resolves when it is over; the clients go on for `seconds`, or with
 * `untilOver` until then. `delayMs`: what the origins take for an answer.
 */
export const scenarios = [
  {
    name: 'kill',
    title: 'kill -9 of one of three, back after half the time (300/s, 20 % POST, origins take 150 ms)',
    ratePerSecond: 300,
    kinds: [get(0.8), post(0.2)],
    delayMs: 150,
    async trouble({ origins, seconds }) {
      await pause(seconds * 250);
      origins[1].signal('SIGKILL');
      await pause(seconds * 500);
      await origins[1].start();
    },
  },
  {
    name: 'stop',
    title: 'SIGSTOP of one of three for half the time (300/s, 20 % POST, origins take 20 ms)',
    ratePerSecond: 300,
    kinds: [get(0.8), post(0.2)],
    delayMs: 20,
    async trouble({ origins, seconds }) {
      await pause(seconds * 250);
      origins[1].signal('SIGSTOP');
      await pause(seconds * 500);
      origins[1].signal('SIGCONT');
    },
  },
  {
    name: 'poison',
    title: 'One request at which any origin cuts all its connections (100/s, 20 % POST, origins take 20 ms)',
    ratePerSecond: 100,
    kinds: [get(0.8), post(0.2)],
    delayMs: 20,
    async trouble({ port, seconds }) {
      await pause(seconds * 250);
      // Its own answer is a failure, whatever it is.
      await ask(`http://127.0.0.1:${port}/poison`, { ms: seconds * 750 }).catch(() => undefined);
    },
  },
  {
    name: 'failing',
    title: 'One of three answers 503 to everything but its health check (300/s, 20 % POST, origins take 20 ms)',
    ratePerSecond: 300,
    kinds: [get(0.8), post(0.2)],
    delayMs: 20,
    only: { b: { failing: true } },
    trouble: async () => undefined,
  },
  {
    name: 'rolling',
    title: 'Rolling restart of all three, each with time to leave (1,000/s, 20 % POST, origins take 20 ms)',
    ratePerSecond: 1_000,
    kinds: [get(0.8), post(0.2)],
    delayMs: 20,
    untilOver: true,
    async trouble({ origins }) {
      await pause(1_000);
      for (const origin of origins) {
        await origin.leave();
        await origin.start();
        await pause(1_000);
      }
    },
  },
];
