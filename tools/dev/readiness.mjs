// Does the yard work as seen from outside? Asked over HTTP, as a client would, until it does.
import { get } from 'node:http';
import { pause } from './process-identity.mjs';
import { services } from './yard.mjs';

/**
 * Asks once. `{ ready, missing }`: who is not ready and on what it waits, in words. `seen` collects the ids of the
 * instances that answered; the yard is ready when all of `expected()` have.
 */
export async function look({ ports, expected, seen }) {
  const [traffic, ...states] = await Promise.all([
    expected().length === 0 ? undefined : lookAtTraffic({ ports, expected, seen }),
    ...services.map(([name]) => lookAtService(name, ports[name])),
  ]);
  const missing = [...states, traffic].filter((text) => text !== undefined);
  return { ready: missing.length === 0, missing };
}

/** Asks until ready or `deadlineMs` (of performance.now()) or `signal`; gives the last look. */
export async function untilReady(question, { deadlineMs, signal }) {
  let last = await look(question);
  while (!last.ready && performance.now() < deadlineMs && !signal.aborted) {
    await pause(100);
    last = await look(question);
  }
  return last;
}

async function lookAtTraffic({ ports, expected, seen }) {
  for (let count = 0; count < expected().length; count += 1) {
    const answer = await fetchText(ports.traffic, '/');
    if (answer.status !== 200) return `requests through port ${ports.traffic}: ${brief(answer)}`;
    seen.add(answer.instance);
  }
  const silent = expected().filter((id) => !seen.has(id));
  return silent.length === 0
    ? undefined
    : `requests through port ${ports.traffic} do not reach ${silent.join(', ')} yet`;
}

async function lookAtService(name, port) {
  const answer = await fetchText(port, '/readyz');
  if (answer.status === 200) return undefined;
  if (answer.status === undefined) return `${name}: ${brief(answer)}`;
  return `${name}: ${brief(await fetchText(port, '/readyz?verbose'))}`;
}

// The reasons that a service gives itself, rather than a page of JSON.
function brief({ status, text, error }) {
  if (error !== undefined) return error;
  try {
    const { why, detail } = JSON.parse(text);
    if (Array.isArray(why) && why.length > 0) return `waits: ${why.join('; ').slice(0, 300)}`;
    if (typeof detail === 'string') return `${status} ${detail.slice(0, 300)}`;
  } catch {
    // Not JSON: shown as it is.
  }
  return `${status} ${text.replaceAll(/\s+/g, ' ').slice(0, 200)}`;
}

function fetchText(port, path) {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, timeout: 2_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text = (text + chunk).slice(0, 10_000);
      });
      response.on('end', () =>
        resolve({ status: response.statusCode, text, instance: response.headers['switchyard-instance'] }),
      );
      response.on('error', (error) => resolve({ error: error.message, text: '' }));
    });
    request.on('timeout', () => request.destroy(new Error('no answer in 2 s')));
    request.on('error', (error) =>
      resolve({ error: error.code === 'ECONNREFUSED' ? 'does not listen yet' : error.message, text: '' }),
    );
  });
}
