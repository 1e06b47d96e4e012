// A worker's rollbacks as a process of its own, to be killed: `node rollback-process-fixture.ts <repository> <sentinels> <step>`.
// Does what the file request.json in the repository asks for, says when it has reached the step, and waits there for its end; without a
// step it takes up what is left.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RollbackState } from '@switchyard/backup';
import { eventually } from '@switchyard/testing';
import { startRollbacks } from './rollback-fixture.ts';

const [directory = '', sentinels = '', step = ''] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const onStep = async ({ waitsFor, outcome }: RollbackState): Promise<void> => {
  say(`step ${waitsFor} ${outcome ?? ''}`);
  if (waitsFor === step) {
    say('reached');
    await new Promise(() => undefined);
  }
};
const worker = await startRollbacks(
  { SWITCHYARD_REDIS_SENTINELS: sentinels },
  { directory, onStep, atOnce: step === '' },
);
say('ready');
if (step !== '') {
  const request = await eventually(() => readFile(join(directory, 'request.json'), 'utf8').catch(() => null), {
    timeoutMs: 60_000,
    what: 'A request',
  });
  await worker.begin(JSON.parse(request));
}
