import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { createCommandScanner } from './command-scanner.ts';
import { serveHistory } from './serve-history.ts';
import { heldHistory, offsetOf, record, type Recording } from './recording-fixture.ts';

const soon = (ms = 30_000): AbortSignal => AbortSignal.timeout(ms);

const fill = (node: TestRedis, keys: number): Promise<unknown> =>
  node.cli('EVAL', `for i = 1, ${keys} do redis.call('SET', 'key:' .. i, 'value-' .. i) end`, 0);

// Waits until the recording holds everything that the node has done.
const caughtUp = (recording: Recording, node: TestRedis): Promise<unknown> =>
  eventually(async () => recording.followed.receivedOffset() >= (await offsetOf(node)), {
    timeoutMs: 30_000,
    what: 'The recording',
  });

// Position of the first byte of the first command with that name.
function positionBefore(recording: Recording, name: string): number {
  let found: number | undefined;
  const scanner = createCommandScanner({ position: recording.offset }, (command) => {
    if (command.name === name) found ??= command.from;
  });
  scanner.push(recording.bytes());
  if (found === undefined) throw new Error(`The stream holds no ${name}.`);
  return found;
}

describe('a history that is followed and served again', () => {
  it.each([
    ['from memory', 'yes'],
    ['from the disk', 'no'],
  ])('undoes a FLUSHALL to the byte before it (data set %s)', async (_title, diskless) => {
    const primary = await startRedis({ args: ['--repl-diskless-sync', diskless] });
    try {
      await fill(primary, 5_000);
      const recording = await record(primary);
      for (let count = 0; count < 100; count += 1) await primary.cli('INCR', 'counter');
      await primary.cli('SET', 'short', 'life', 'EX', 1_000);
      const digest = await primary.cli('DEBUG', 'DIGEST');
      await primary.cli('FLUSHALL');
      await primary.cli('SET', 'after', 'the accident');
      await caughtUp(recording, primary);
      recording.followed.close();
      const end = positionBefore(recording, 'FLUSHALL');
      const stream = recording.bytes().subarray(0, end - recording.offset);
      const server = await serveHistory({ host: '127.0.0.1', history: heldHistory({ ...recording, stream }) });
      try {
        await primary.cli('REPLICAOF', server.host, server.port);
        const taken = await server.whenTaken(soon());
        expect(taken).toMatchObject({ phase: 'done', acknowledged: end });
        await primary.cli('REPLICAOF', 'NO', 'ONE');
        expect(await primary.cli('DEBUG', 'DIGEST')).toBe(digest);
        expect(await primary.cli('DBSIZE')).toBe(5_002);
      } finally {
        await server.close();
      }
    } finally {
      await primary.stop();
    }
  });
});
