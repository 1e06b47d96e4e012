import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHealth, type Health } from '@switchyard/runtime';
import { eventually, manualClock } from '@switchyard/testing';
import { createOperations } from '../operations/operations.ts';
import type { Prover } from '../scratch/prover.ts';
import { quietLogger, temporaryRepository, type TestRepository } from '../test-fixtures.ts';
import { createUpkeep } from './upkeep.ts';

const never = new AbortController().signal;

function upkeepOf(
  repository: TestRepository,
  version: Prover['version'],
): { upkeep: ReturnType<typeof createUpkeep>; health: Health; clock: ReturnType<typeof manualClock> } {
  const clock = manualClock();
  const health = createHealth({ clock });
  const upkeep = createUpkeep({
    repository,
    scratchDirectory: join(repository.root, '.scratch'),
    prover: { version, load: () => Promise.reject(new Error('not used')) },
    operations: createOperations(join(repository.root, '.operations'), quietLogger),
    metrics: { refresh: () => Promise.resolve(), ended: () => undefined },
    clock,
    health,
    logger: quietLogger,
  });
  return { upkeep, health, clock };
}

describe('createUpkeep', () => {
  it('starts although the repository cannot be used, says so, and uses it as soon as it can be', async () => {
    const { repository, end } = await temporaryRepository();
    await rm(repository.root, { recursive: true });
    await writeFile(repository.root, 'a file in its place');
    const { upkeep, health, clock } = upkeepOf(repository, () => Promise.resolve('redis 7.0.15'));
    await upkeep.start?.(never);
    const checks = health.report().checks;
    expect(checks['repository']).toMatchObject({ ok: false, detail: expect.stringContaining('EEXIST') });
    await rm(repository.root);
    await clock.advance(60_000);
    await eventually(() => health.report().checks['repository']?.ok === true);
    await upkeep.stop?.();
    await end();
  });

  it('says that backups cannot be proven, without making the service unready', async () => {
    const { repository, end } = await temporaryRepository();
    const { upkeep, health } = upkeepOf(repository, () => Promise.reject(new Error('redis-server cannot be run')));
    await upkeep.start?.(never);
    expect(health.report().checks).toMatchObject({
      prover: { ok: false, critical: false, detail: 'redis-server cannot be run' },
      repository: { ok: true },
    });
    await upkeep.stop?.();
    await end();
  });
});
