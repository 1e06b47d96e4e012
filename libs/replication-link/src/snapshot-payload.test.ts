import { seededRandom, type SeededRandom } from '@switchyard/testing';
import { createPayloadReader } from './snapshot-payload.ts';

const mark = 'aabbccddeeff00112233445566778899aabbccdd';

interface Outcome {
  readonly data: string;
  readonly rest: string | undefined;
}

function read(bytes: Buffer, nextSize: () => number): Outcome {
  const reader = createPayloadReader();
  const data: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = nextSize();
    const part = reader.push(bytes.subarray(at, at + size));
    at += size;
    data.push(part.data);
    if (part.rest !== undefined)
      return {
        data: Buffer.concat(data).toString('latin1'),
        rest: Buffer.concat([part.rest, bytes.subarray(at)]).toString('latin1'),
      };
  }
  return { data: Buffer.concat(data).toString('latin1'), rest: undefined };
}

// Contents made of the mark's own characters and of almost-marks are the hard ones.
function randomContent(random: SeededRandom): string {
  const pieces = Array.from({ length: random.integer(0, 12) }, () =>
    random.pick([mark.slice(0, 39), mark.slice(1), mark[0] ?? '', '\r\n', '$EOF:', '\u00ff\u0000', 'REDIS0010']),
  );
  return pieces.join('');
}

describe('createPayloadReader', () => {
  it('finds the same data set in any chunks, for both framings (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 3_000; round += 1) {
      const content = randomContent(random);
      if (content.includes(mark)) continue;
      const after = random.pick(['', '*1\r\n$4\r\nPING\r\n', mark, '\n']);
      const keepAlive = '\n'.repeat(random.integer(0, 3));
      const framed = random.integer(0, 1)
        ? `${keepAlive}$EOF:${mark}\r\n${content}${mark}${after}`
        : `${keepAlive}$${Buffer.byteLength(content, 'latin1')}\r\n${content}${after}`;
      const largest = random.pick([1, 3, 40, 100, 5_000]);
      const outcome = read(Buffer.from(framed, 'latin1'), () => random.integer(1, largest));
      expect({ seed: random.seed, round, ...outcome }).toEqual({
        seed: random.seed,
        round,
        data: content,
        rest: after,
      });
    }
  });

  it('does not call a cut-off data set complete', () => {
    for (const framed of [`$EOF:${mark}\r\nabc${mark.slice(0, 39)}`, '$10\r\n123456789', '$10\r\n', '$10\r', ''])
      expect(read(Buffer.from(framed), () => 7).rest).toBeUndefined();
  });

  it('knows the length only when the source announced it', () => {
    const counted = createPayloadReader();
    expect(counted.totalBytes()).toBeUndefined();
    counted.push(Buffer.from('$123\r\n'));
    expect(counted.totalBytes()).toBe(123);
    const streamed = createPayloadReader();
    streamed.push(Buffer.from(`$EOF:${mark}\r\n`));
    expect(streamed.totalBytes()).toBeUndefined();
  });

  it('holds back fewer bytes than the mark has', () => {
    const reader = createPayloadReader();
    reader.push(Buffer.from(`$EOF:${mark}\r\n`));
    let pushed = 0;
    let given = 0;
    for (let round = 0; round < 50; round += 1) {
      const chunk = Buffer.alloc(1_000, 'a');
      pushed += chunk.length;
      given += reader.push(chunk).data.length;
      expect(pushed - given).toBeLessThan(40);
    }
  });

  it.each([
    ["-ERR BGSAVE failed, replication can't continue", 'snapshot_failed'],
    ['-LOADING busy', 'loading'],
    ['$-1', 'protocol_error'],
    ['$99999999999999999', 'protocol_error'],
    ['$EOF:tooshort', 'protocol_error'],
    ['+OK', 'protocol_error'],
  ])('names a header that brings no data set: %s', (line, code) => {
    expect(() => createPayloadReader().push(Buffer.from(`${line}\r\n`))).toThrow(expect.objectContaining({ code }));
  });
});
