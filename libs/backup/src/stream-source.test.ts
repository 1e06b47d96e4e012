import { canContinue, chooseStreamSource, type StreamCandidate, type StreamRules } from './stream-source.ts';

const id = 'a'.repeat(40);
const older = 'b'.repeat(40);
const place = { replicationId: id, offset: 500 };

function node(name: string, facts: Partial<StreamCandidate> = {}): StreamCandidate {
  return {
    name,
    host: '10.0.0.1',
    port: Number(name.slice(1)),
    role: 'replica',
    state: 'ok',
    offset: 1_000,
    lagBytes: 0,
    link: 'up',
    history: { replicationId: id, offset: 1_000, previous: null, continuesFrom: 100 },
    isBusy: false,
    ...facts,
  };
}

const primary = node('p1', { role: 'primary', lagBytes: null, link: null });
const rules: StreamRules = {
  maxLagBytes: 1_000,
  hasSentinels: true,
  place,
  waitedMs: 0,
  continueWithinMs: 3_000,
  primaryAfterMs: 30_000,
};
const followed = (nodes: readonly StreamCandidate[], facts: Partial<StreamRules> = {}): string => {
  const choice = chooseStreamSource(nodes, { ...rules, ...facts });
  return choice.kind === 'follow' ? `${choice.source.name}${choice.continues ? ' continues' : ''}` : 'wait';
};
const forgetful = { history: { replicationId: id, offset: 1_000, previous: null, continuesFrom: 900 } };

describe('chooseStreamSource', () => {
  it('takes a replica that can go on, that is not busy, with the smallest lag, in this order', () => {
    expect(followed([primary, node('r2', { lagBytes: 9 }), node('r3', { lagBytes: 5 })])).toBe('r3 continues');
    expect(followed([primary, node('r2', { lagBytes: 9 }), node('r3', { isBusy: true })])).toBe('r2 continues');
    expect(followed([primary, node('r2', { lagBytes: 9, isBusy: true }), node('r3', forgetful)])).toBe('r2 continues');
  });

  it('waits for a node that can go on before it begins the history anew', () => {
    expect(followed([primary, node('r2', forgetful)], { waitedMs: 2_999 })).toBe('wait');
    const unknowing = { ...primary, ...forgetful };
    expect(followed([unknowing, node('r2', forgetful)], { waitedMs: 3_000 })).toBe('r2');
    expect(followed([primary, node('r2', forgetful)], { place: null })).toBe('r2');
  });

  it('goes on with the primary where it alone can, under the address of a replica', () => {
    const choose = (waitedMs: number, primaryAfterMs: number | null): unknown =>
      chooseStreamSource([primary, node('r2', forgetful)], { ...rules, waitedMs, primaryAfterMs });
    expect(choose(3_000, 30_000)).toMatchObject({ source: { name: 'p1' }, continues: true, announce: { port: 2 } });
    expect(choose(2_999, 30_000)).toMatchObject({ kind: 'wait' });
    expect(choose(3_000, null)).toMatchObject({ source: { name: 'r2' }, announce: null });
  });

  it('keeps off the primary that a Sentinel watches while any replica answers, whatever its trouble', () => {
    expect(followed([primary, node('r2', { state: 'syncing' })], { waitedMs: 60_000 })).toBe('wait');
    expect(followed([primary, node('r2', { link: 'down', state: 'link-down' })], { waitedMs: 60_000 })).toBe('wait');
  });

  it('takes the primary when there has been no replica for long, under the address of one that the Sentinels know', () => {
    const gone = node('r2', { role: 'unknown', state: 'unreachable', history: null, host: '10.0.0.2' });
    const nodes = [primary, gone];
    expect(followed(nodes, { waitedMs: 29_999 })).toBe('wait');
    expect(followed(nodes, { waitedMs: 60_000, primaryAfterMs: null })).toBe('wait');
    expect(followed([primary], { waitedMs: 60_000 })).toBe('wait');
    expect(chooseStreamSource(nodes, { ...rules, waitedMs: 30_000 })).toMatchObject({
      kind: 'follow',
      source: { name: 'p1' },
      announce: { host: '10.0.0.2', port: 2 },
    });
  });

  it('takes the one node of a group without Sentinels at once', () => {
    expect(followed([primary], { hasSentinels: false })).toBe('p1 continues');
  });
});

describe('canContinue', () => {
  it('compares the history, also the one that was continued after a failover, and the bytes that are kept', () => {
    const history = {
      replicationId: older,
      offset: 1_000,
      previous: { replicationId: id, sharedUntil: 600 },
      continuesFrom: 500,
    };
    expect(canContinue(history, place)).toBe(true);
    expect(canContinue(history, { ...place, offset: 601 })).toBe(false);
    expect(canContinue(history, { ...place, offset: 499 })).toBe(false);
    expect(canContinue({ ...history, previous: null }, place)).toBe(false);
    expect(canContinue({ ...history, continuesFrom: null }, place)).toBe(false);
    expect(canContinue(null, place)).toBe(false);
    expect(canContinue({ replicationId: id, offset: 499, previous: null, continuesFrom: 0 }, place)).toBe(false);
  });
});
