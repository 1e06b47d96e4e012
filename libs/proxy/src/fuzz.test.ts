// Does the engine hold when clients and instances are both hostile? A short run; tools/chaos/fuzz-proxy.mjs makes long ones and says
// how a finding is looked at by itself.
import { seededRandom } from '@switchyard/testing';
import { runFuzz } from './fuzz-run-fixture.ts';

const { seed } = seededRandom();

describe(`20,000 mutated messages of clients and instances (SWITCHYARD_TEST_SEED=${seed})`, () => {
  it('crash nothing, hold nothing up, and reach nobody they are not for', async () => {
    const { findings, inputs, answers } = await runFuzz({ seed, inputs: 20_000, concurrency: 64 });
    expect({ seed, findings }).toEqual({ seed, findings: [] });
    expect(inputs).toBeGreaterThanOrEqual(20_000);
    expect(answers).toBeGreaterThan(5_000);
  }, 120_000);
});
