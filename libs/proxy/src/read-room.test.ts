// Do bytes stay what they were while a slow client has not taken them? The room that an instance's bytes are read into is used again.
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { seededRandom } from '@switchyard/testing';
import { httpOrigin, startYard } from './proxy-fixture.ts';

const random = seededRandom();
const open: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.stop();
});

/** A body that no other offset of no other body looks like. */
function bodyOf(index: number, bytes: number): Buffer {
  const body = Buffer.allocUnsafe(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) body.writeUInt32LE(Math.imul(at + 1, 2_654_435_761 + index) >>> 0, at);
  return body;
}
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe(`bodies on their way to clients of all speeds (seed ${random.seed})`, () => {
  it.each(['length', 'chunked'])('arrive as they were sent (%s)', async (framing) => {
    const sizes = Array.from({ length: 24 }, () => 4 * random.integer(1, 400_000));
    const bodies = sizes.map((bytes, index) => bodyOf(index, bytes));
    const origin = await httpOrigin((req, res) => {
      const body = bodies[Number(req.url?.slice(1))] as Buffer;
      if (framing === 'length') res.setHeader('content-length', body.length);
      res.end(body);
    });
    const yard = await startYard({ ports: [origin.port, origin.port] });
    open.push({ stop: () => origin.close() }, yard);

    const fetchAt = (index: number, pauseMs: number): Promise<string> =>
      new Promise((resolve, reject) => {
        const parts: Buffer[] = [];
        const socket = connect({ port: yard.port, host: '127.0.0.1' });
        socket.write(`GET /${index} HTTP/1.0\r\n\r\n`);
        socket.on('data', (part: Buffer) => {
          parts.push(part);
          if (pauseMs === 0 || parts.length > 20) return;
          socket.pause();
          setTimeout(() => socket.resume(), pauseMs);
        });
        socket.on('end', () => {
          const all = Buffer.concat(parts);
          resolve(digest(all.subarray(all.indexOf('\r\n\r\n') + 4)));
        });
        socket.on('error', reject);
      });
    const got = await Promise.all(
      bodies.map((_, index) => fetchAt(index, index % 3 === 0 ? 0 : random.integer(1, 20))),
    );
    expect(got).toEqual(bodies.map(digest));
  });
});
