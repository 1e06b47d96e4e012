import { seededRandom } from '@switchyard/testing';
import { readRdbHead } from './rdb-head.ts';

const string = (value: string): Buffer => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
const aux = (name: string, value: Buffer): Buffer => Buffer.concat([Buffer.of(0xfa), string(name), value]);
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(5, 0xc2);
  bytes.writeInt32LE(value, 1);
  return bytes;
};
// As Redis 7.0.15 writes it, the long string with a length of two bytes.
const head = Buffer.concat([
  Buffer.from('REDIS0010'),
  aux('redis-ver', string('7.0.15')),
  aux('redis-bits', Buffer.of(0xc0, 64)),
  aux('ctime', int32(1_792_000_000)),
  aux('used-mem', int32(123_456_789)),
  aux('note', Buffer.concat([Buffer.of(0x41, 0x2c), Buffer.alloc(300, 'x')])),
  aux('small', Buffer.of(0xc1, 0xff, 0xff)),
]);

describe('readRdbHead', () => {
  it('reads the format and the fields', () => {
    expect(readRdbHead(Buffer.concat([head, Buffer.of(0xfe, 0)]))).toEqual({
      format: 10,
      usedMemoryBytes: 123_456_789,
      fields: {
        'redis-ver': '7.0.15',
        'redis-bits': '64',
        ctime: '1792000000',
        'used-mem': '123456789',
        note: 'x'.repeat(300),
        small: '-1',
      },
    });
    const large = Buffer.concat([Buffer.from('VALKEY080'), aux('used-mem', string('5000000000'))]);
    expect(readRdbHead(large)).toMatchObject({ format: 80, usedMemoryBytes: 5_000_000_000 });
  });

  it('takes nothing else for a data set', () => {
    for (const bytes of ['', 'REDIS', 'REDIS00x0', 'PK\u0003\u0004 and so on'])
      expect(readRdbHead(Buffer.from(bytes))).toBeUndefined();
  });

  it('survives any cut and any damage (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 2_000; round += 1) {
      const damaged = Buffer.from(head.subarray(0, random.integer(9, head.length)));
      const at = random.integer(9, Math.max(9, damaged.length - 1));
      if (at < damaged.length) damaged[at] = random.integer(0, 255);
      const found = readRdbHead(damaged);
      expect({ seed: random.seed, round, format: found?.format }).toEqual({ seed: random.seed, round, format: 10 });
    }
  });
});
