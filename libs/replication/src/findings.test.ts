// Does what parts found out get into the view, and nothing else?
import type { RedisGroupView } from '@switchyard/protocol';
import { noFindings, withFindings } from './findings.ts';

const node = (name: string, port: number, part: Partial<RedisGroupView['nodes'][number]> = {}) => ({
  name,
  host: '10.0.0.1',
  port,
  role: 'replica' as const,
  state: 'ok' as const,
  offset: 1,
  lagBytes: 0,
  link: 'up' as const,
  persistence: null,
  version: null,
  eligible: true,
  reason: null,
  seenAgoMs: 0,
  ...part,
});
const view = {
  state: 'ok' as RedisGroupView['state'],
  epoch: 3 as number | null,
  primary: { name: 'r1', host: '10.0.0.1', port: 1 } as RedisGroupView['primary'],
  nodes: [node('r1', 1), node('r2', 2, { state: 'unreachable', reason: 'gone' })],
  problems: [{ code: 'old', detail: 'was there', next: '' }],
};
const problem = (code: string, advice: boolean) => ({ code, detail: `${code} it is`, next: 'do', advice });

describe('findings', () => {
  it('that are empty leave the view as it is', () => {
    expect(withFindings(view, [noFindings, noFindings])).toBe(view);
  });

  it('that are grave make a group degraded, advice does not', () => {
    expect(withFindings(view, [{ problems: [problem('a', true)], nodes: [] }]).state).toBe('ok');
    const grave = withFindings(view, [{ problems: [problem('a', true), problem('b', false)], nodes: [] }]);
    expect(grave.state).toBe('degraded');
    expect(grave.problems.map(({ code }) => code)).toEqual(['old', 'a', 'b']);
    expect(grave.problems.at(-1)).toEqual({ code: 'b', detail: 'b it is', next: 'do' });
  });

  it('that two parts have alike are told once', () => {
    const same = { problems: [problem('a', false)], nodes: [] };
    expect(withFindings(view, [same, same]).problems.map(({ code }) => code)).toEqual(['old', 'a']);
  });

  it('about a node replace its state and reason, but not that it is unreachable', () => {
    const state = 'fenced' as const;
    const nodes = [1, 2].map((port) => ({ host: '10.0.0.1', port, state, eligible: false, reason: 'because' }));
    expect(withFindings(view, [{ problems: [], nodes }]).nodes).toMatchObject([
      { name: 'r1', state: 'fenced', eligible: false, reason: 'because' },
      { name: 'r2', state: 'unreachable', reason: 'gone' },
    ]);
  });

  it('about a promotion name the primary only while nobody else does', () => {
    const promoted = { host: '10.0.0.1', port: 2, epoch: 4 };
    const found = [{ ...noFindings, promoted }];
    expect(withFindings(view, found).primary?.name).toBe('r1');
    const problems = [
      { code: 'no_primary', detail: 'none', next: '' },
      { code: 'node_unreachable', detail: 'r1', next: '' },
    ];
    const down = withFindings({ ...view, state: 'down', primary: null, problems }, found);
    expect(down).toMatchObject({ state: 'degraded', primary: { name: 'r2', port: 2 }, epoch: 4 });
    expect(down.problems.map(({ code }) => code)).toEqual(['node_unreachable']);
  });
});
