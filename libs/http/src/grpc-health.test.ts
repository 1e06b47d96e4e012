// Do the bytes mean to others what they mean to us? A protobuf library that others use is asked.
import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { seededRandom } from '@switchyard/testing';
import { grpcCodeName, healthRequest, healthStatus } from './grpc-health.ts';

const proto = fileURLToPath(new URL('fixtures/health.proto', import.meta.url));
const health = loadSync(proto, { enums: String })['grpc.health.v1.Health'] as ServiceDefinition;
const check = health['Check'] as MethodDefinition<{ service?: string }, { status: string | number }>;
const framed = (message: Buffer, flag = 0): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};

describe('a request to a gRPC health service', () => {
  it.each(['', 'shop', 'é — 日本', 'x'.repeat(127), 'x'.repeat(128), 'ü'.repeat(256)])(
    'is what others send for %j',
    (service) => {
      // an empty name may be left out, and is
      if (service) expect(healthRequest(service)).toEqual(framed(check.requestSerialize({ service })));
      expect(check.requestDeserialize(healthRequest(service).subarray(5))).toMatchObject(service ? { service } : {});
    },
  );
});

describe('the answer of a gRPC health service', () => {
  it.each(['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'])('is read as others write %s', (status) => {
    expect(healthStatus(framed(check.responseSerialize({ status })))).toEqual({ status });
  });

  it('may have fields and statuses of later versions', () => {
    const [text, fixed32, fixed64, varint] = [
      [0x12, 3, 97, 98, 99],
      [0x1d, 1, 2, 3, 4],
      [0x21, 1, 2, 3, 4, 5, 6, 7, 8],
      [0x28, 0xff, 0x01],
    ] as const;
    const serving = [0x08, 1];

    expect(healthStatus(framed(Buffer.of(...text, ...fixed32, ...serving, ...fixed64, ...varint)))).toEqual({
      status: 'SERVING',
    });
    expect(healthStatus(framed(Buffer.of(0x08, 0xac, 0x02)))).toEqual({ status: 'status 300' });
    // the last one counts
    expect(healthStatus(framed(Buffer.of(...serving, 0x08, 2)))).toEqual({ status: 'NOT_SERVING' });
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'without a message'],
    ['half a frame', Buffer.of(0, 0, 0), 'without a message'],
    ['less than it says', Buffer.of(0, 0, 0, 0, 2, 8), 'with more or less than one message'],
    ['two messages', Buffer.concat([framed(Buffer.of(8, 1)), framed(Buffer.of(8, 1))]), 'with more or less'],
    ['a compressed message', framed(Buffer.of(8, 1), 1), 'with a compressed message, which was not asked for'],
    ['a number that does not end', framed(Buffer.alloc(12, 0xff)), 'with a broken message'],
    ['a text that does not end', framed(Buffer.of(0x12, 9, 97)), 'with a broken message'],
    ['a kind of field that nobody sends', framed(Buffer.of(0x0b)), 'with a broken message'],
  ])('is refused when it is %s', (_what, reply, fault) => {
    expect(healthStatus(reply)).toEqual({ fault: expect.stringContaining(fault) });
  });

  it('never throws, and says SERVING only of what others read so, too', () => {
    const seed = 20_261_121;
    const random = seededRandom(seed);
    for (let round = 0; round < 20_000; round += 1) {
      const length = Math.floor(random() * 8);
      const message = Buffer.from(Array.from({ length }, () => Math.floor(random() ** 2 * 256)));
      const read = healthStatus(framed(message));
      if (!('status' in read) || read.status !== 'SERVING') continue;
      expect({ seed, round, read: check.responseDeserialize(message).status }).toEqual({
        seed,
        round,
        read: 'SERVING',
      });
    }
  });
});

describe('a gRPC status', () => {
  it('has the name that people know', () => {
    expect(['0', '5', '12', '14', '16', '17', 'x'].map(grpcCodeName)).toEqual([
      'OK',
      'NOT_FOUND',
      'UNIMPLEMENTED',
      'UNAVAILABLE',
      'UNAUTHENTICATED',
      'status 17',
      'status x',
    ]);
  });
});
