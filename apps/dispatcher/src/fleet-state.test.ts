import { createMeters } from '@switchyard/proxy';
import { dispatcherStateSchema } from '@switchyard/protocol';
import { dispatcherState, toldBounds } from './fleet-state.ts';

const partsWith = (count: number) => {
  const meters = createMeters();
  for (let n = 0; n < count; n += 1) {
    const meter = meters.of('shop', `i${n}`);
    meter.requests = n;
    meter.lastError = 'x'.repeat(5_000);
    meter.lastErrorUnixMs = 1;
  }
  const keeper = { status: () => ({ table: undefined, ageMs: Infinity, keptInstances: 0 }) };
  const ejections = { countOf: () => 0 };
  return { id: 'd1', version: '1', url: 'http://127.0.0.1:1', keeper, meters, ejections, planes: [] };
};

describe('the state of a dispatcher', () => {
  it('is whole for whoever asks it', () => {
    const state = dispatcherState(partsWith(3));

    expect(dispatcherStateSchema.parse(state)).toEqual(state);
    expect(state).toMatchObject({ table: { source: 'none', ageMs: null }, omittedInstances: 0 });
    expect(state.instances.map(({ id }) => id)).toEqual(['i0', 'i1', 'i2']);
  });

  it('is bounded for all others: those with the most requests, and how many were left out', () => {
    const state = dispatcherState(partsWith(1_000), toldBounds);

    expect(state.instances.length).toBeLessThanOrEqual(200);
    expect(state.instances.length + state.omittedInstances).toBe(1_000);
    expect(state.instances[0]?.id).toBe('i999');
    expect(Buffer.byteLength(JSON.stringify(state))).toBeLessThan(140 * 1024);
    expect(dispatcherState(partsWith(1_000), { instances: 1_000, bytes: 2_000 }).instances.length).toBeLessThan(4);
  });
});
