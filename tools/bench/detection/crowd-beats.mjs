// The connections of a crowd: each says hello and beats once a second, spread over the second; counts what is heard.
import { connect } from 'node:net';

const { hostname, port, service, instances } = JSON.parse(process.argv[2]);
const say = (message) => process.send?.(message);
process.on('disconnect', () => process.exit(0));

const head = `GET /v1/liveness HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: switchyard-liveness\r\n\r\n`;
const beat = '{"type":"beat"}\n';
const slots = 100;
const everyMs = 1_000;
const sockets = [];
let heard = 0;
let counted;

const open = (index) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port, noDelay: true });
    let isUp = false;
    socket.once('error', reject);
    socket.once('connect', () => socket.write(head));
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (!isUp) {
        if (!text.startsWith('HTTP/1.1 101')) return reject(new Error(text.slice(0, 200)));
        isUp = true;
        socket.write(`${JSON.stringify({ type: 'hello', service, id: `i-${index}` })}\n`);
        sockets[index] = socket;
        return resolve();
      }
      for (let at = text.indexOf('"heard"'); at >= 0; at = text.indexOf('"heard"', at + 7)) heard += 1;
      return undefined;
    });
  });

for (let index = 0; index < instances; index += slots) {
  await Promise.all(Array.from({ length: Math.min(slots, instances - index) }, (_, offset) => open(index + offset)));
}
// By the clock, so that a timer that comes late leaves no beat out.
const startMs = performance.now();
let sent = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - startMs) / everyMs) * instances);
  for (; sent < due; sent += 1) sockets[sent % instances].write(beat);
}, everyMs / slots);
process.on('message', ({ state }) => {
  if (state !== 'count') return;
  if (counted === undefined) counted = heard;
  else {
    say({ state: 'counted', heard: heard - counted });
    counted = undefined;
  }
});
say({ state: 'ready' });
