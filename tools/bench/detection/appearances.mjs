// How soon is a new instance returned by a watch, and how soon does the dispatcher send to it? One after the other, each alone in its
// service, so that the next request that is answered shows it.
import { createServer } from 'node:http';
import { ask } from '../waiting.mjs';
import { quantile } from '../statistics.mjs';
import { isAlive, isGone, nowMs } from './sightings.mjs';

const service = 'bench';
const perSample = 50;
const longestMs = 5_000;

/** p50 and p99 of `samples` times 50 registrations. */
export async function measureAppearances({ registryUrl, trafficPort, sightings }, { samples }) {
  const origin = createServer((_req, res) => res.end('fine')).listen(0, '127.0.0.1');
  await new Promise((resolve) => {
    origin.once('listening', resolve);
  });
  const url = `http://127.0.0.1:${origin.address().port}`;
  const seen = [];
  const routed = [];
  try {
    await send(registryUrl, 'PUT', '/v1/routes/bench', { service, pathPrefix: '/bench' });
    for (let turn = 0; turn < samples * perSample; turn += 1) {
      const id = `appear-${turn}`;
      const path = `/v1/services/${service}/instances/${id}`;
      const startMs = nowMs();
      const answered = send(registryUrl, 'PUT', path, { url, ttl: '1h', check: { type: 'none' } });
      const [atMs, routedMs] = await Promise.all([
        sightings.became(id, isAlive, longestMs),
        routedTo(id, trafficPort),
        answered,
      ]);
      seen.push(atMs - startMs);
      routed.push(routedMs - startMs);
      await send(registryUrl, 'DELETE', path);
      await sightings.became(id, isGone, longestMs);
    }
  } finally {
    await send(registryUrl, 'DELETE', '/v1/routes/bench').catch(() => undefined);
    origin.close();
    origin.closeAllConnections();
  }
  const of = (values, part) =>
    quantile(
      values.toSorted((one, other) => one - other),
      part,
    );
  return [
    {
      registrations: seen.length,
      appearMs: of(seen, 0.5),
      appearP99Ms: of(seen, 0.99),
      routedMs: of(routed, 0.5),
      routedP99Ms: of(routed, 0.99),
    },
  ];
}

/** Ms of the first answer that came from there. */
async function routedTo(id, trafficPort) {
  const deadlineMs = nowMs() + longestMs;
  while (nowMs() < deadlineMs) {
    const { status, headers } = await ask(`http://127.0.0.1:${trafficPort}/bench`);
    if (status === 200 && headers.get('switchyard-instance') === id) return nowMs();
  }
  throw new Error(`${id} was not routed to within ${longestMs} ms`);
}

async function send(registryUrl, method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const { status, body: text } = await ask(registryUrl + path, {
    method,
    ...(body && { headers, body: JSON.stringify(body) }),
  });
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
}
