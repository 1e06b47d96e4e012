// One watcher of the registry: server-sent events into sightings, with the time at which each frame arrived.
import { nowMs } from './sightings.mjs';

/** Watches one service until it is stopped; comes back by Last-Event-ID when the connection breaks. */
export function watchService({ registryUrl, service, sightings }) {
  const stopped = new AbortController();
  let lastId;
  const take = (frame) => {
    const { id, event, data } = fieldsOf(frame);
    if (id !== undefined) lastId = id;
    if (data === undefined) return;
    const atMs = nowMs();
    const body = JSON.parse(data);
    if (event === 'snapshot') {
      const instances = body.services.find(({ name }) => name === service)?.instances ?? [];
      for (const one of instances) sightings.set(one.id, wordFor(one.liveness), atMs);
      const ids = instances.filter(({ liveness }) => liveness !== 'dead').map((one) => one.id);
      sightings.setGoneBut(ids, atMs);
    } else if (event === 'instance.deregistered' || event === 'instance.reaped') {
      sightings.set(body.data.id, 'gone', atMs);
    } else if (event?.startsWith('instance.') && body.data.instance) {
      sightings.set(body.data.instance.id, wordFor(body.data.instance.liveness), atMs);
    }
  };
  const listen = async () => {
    const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
    const query = `topics=instance,service&service=${service}&snapshot=true`;
    const response = await fetch(`${registryUrl}/v1/stream?${query}`, { headers, signal: stopped.signal });
    if (response.status !== 200) throw new Error(`the stream answered ${response.status}`);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of response.body) {
      rest += decoder.decode(bytes, { stream: true });
      const frames = rest.split('\n\n');
      rest = frames.pop();
      frames.forEach(take);
    }
  };
  const run = async () => {
    while (!stopped.signal.aborted) {
      await listen().catch(() => undefined);
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
  };
  void run();
  return { stop: () => stopped.abort() };
}

const wordFor = (liveness) => (liveness === 'dead' ? 'gone' : liveness);

function fieldsOf(frame) {
  const fields = {};
  for (const line of frame.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).trimStart();
  }
  return fields;
}
