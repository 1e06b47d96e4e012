// An instance without a library: it registers and beats over HTTP, answers probes, and can be told to beat no more.
import { createServer } from 'node:http';

const { id, service, registryUrl, ttl, beatMs } = JSON.parse(process.argv[2]);
const path = `${registryUrl}/v1/services/${service}/instances/${id}`;
const say = (message) => process.send?.(message);
process.on('disconnect', () => process.exit(0));

const server = createServer((_req, res) => res.end(id)).listen(0, '127.0.0.1');
await new Promise((resolve) => {
  server.once('listening', resolve);
});
const url = `http://127.0.0.1:${server.address().port}`;

async function call(method, to, body) {
  const headers = { 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(1_000);
  const answer = await fetch(to, { method, headers, signal, body: JSON.stringify(body) });
  await answer.arrayBuffer();
  return answer.status;
}
const register = () => call('PUT', path, { url, ttl, check: { type: 'http', path: '/livez' } });

/** One heartbeat after the other, however long they take; who is unknown registers again. */
async function beat() {
  try {
    if ((await call('POST', `${path}/heartbeat`, {})) === 404) await register();
  } catch {
    // the next one
  }
}

const registeringMs = performance.timeOrigin + performance.now();
await register();
const timer = setInterval(() => void beat(), beatMs);
process.on('message', ({ state }) => state === 'mute' && clearInterval(timer));
say({ state: 'ready', key: id, registeringMs });
