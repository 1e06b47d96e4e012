// What do clients notice? A steady load at a fixed rate, whatever the answers take, and a ledger of what went wrong.
import { Agent, request } from 'node:http';

export interface LoadReport {
  readonly sent: number;
  readonly answered: number;
  /** everything but a 200 with a complete body */
  readonly failures: readonly string[];
  readonly slowestMs: number;
}

const CLIENT_TIMEOUT_MS = 15_000;
const MAX_FAILURES_KEPT = 50;

/**
 * Sends `perSecond` requests a second to `url` until `stop`, on kept-alive connections: GET, which a dispatcher may repeat, or
 * POST, which it must not.
 */
export function steadyLoad(
  url: string,
  perSecond: number,
  method: 'GET' | 'POST' = 'GET',
): { stop(): Promise<LoadReport> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  const failures: string[] = [];
  const startedMs = performance.now();
  let [sent, answered, failed, slowestMs] = [0, 0, 0, 0];
  const open = new Set<Promise<void>>();

  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const beganMs = performance.now();
      const end = (fault?: string): void => {
        const tookMs = performance.now() - beganMs;
        slowestMs = Math.max(slowestMs, tookMs);
        answered += 1;
        if (fault !== undefined && (failed += 1) <= MAX_FAILURES_KEPT) {
          failures.push(`after ${((beganMs - startedMs) / 1000).toFixed(2)} s: ${fault} (${tookMs.toFixed(0)} ms)`);
        }
        resolve();
      };
      const sending = request(url, { agent, method, timeout: CLIENT_TIMEOUT_MS }, (response) => {
        response.resume();
        response.on('end', () => end(response.statusCode === 200 ? undefined : `status ${response.statusCode}`));
        response.on('error', (error) => end(`body: ${error.message}`));
      });
      sending.on('timeout', () => sending.destroy(new Error('client time-out')));
      sending.on('error', (error) => end(error.message));
      sending.end();
    });

  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * perSecond);
    while (sent < due) {
      sent += 1;
      const flight = one();
      open.add(flight);
      void flight.then(() => open.delete(flight));
    }
  }, 5);

  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
      return { sent, answered, failures, slowestMs };
    },
  };
}
