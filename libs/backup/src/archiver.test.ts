import { archiverState, stepArchiver, type ArchiverInput, type ArchiverRules, type ArchiverState } from './archiver.ts';
import type { StreamCandidate } from './stream-source.ts';

const id = 'a'.repeat(40);
const next = 'b'.repeat(40);
const rules = { maxLagBytes: 1_000, hasSentinels: true, continueWithinMs: 3_000, primaryAfterMs: 30_000 };
const place = { timeline: '20260102T030405.678Z', replicationId: id, offset: 500 };

function node(name: string, facts: Partial<StreamCandidate> = {}): StreamCandidate {
  const history = { replicationId: id, offset: 1_000, previous: null, continuesFrom: 100 };
  const base = {
    host: '10.0.0.1',
    port: 1,
    role: 'replica',
    state: 'ok',
    offset: 1_000,
    lagBytes: 0,
    link: 'up',
  } as const;
  return { name, ...base, history, isBusy: false, ...facts };
}
const primary = node('p1', { role: 'primary', link: null });

// Plays inputs, one line each: time, input, what it waits for then, and what is to be done.
function play(
  inputs: readonly (readonly [atMs: number, ArchiverInput])[],
  from: ArchiverState = archiverState,
): string[] {
  let state = from;
  return inputs.map(([nowMs, input]) => {
    const done = stepArchiver(state, input, { ...rules, nowMs } satisfies ArchiverRules);
    ({ state } = done);
    const actions = done.actions.map((action) => {
      switch (action.kind) {
        case 'connect':
          return `connect ${action.source.name} ${action.place === null ? 'anew' : `at ${action.place.offset}`}`;
        case 'begin':
          return `begin ${action.reason} at ${action.start.offset} after ${action.previous?.offset ?? 'nothing'}`;
        case 'look':
          return action.afterMs === 0 ? 'look' : `look in ${action.afterMs}`;
        case 'follow':
          return action.renamed ? 'follow renamed' : 'follow';
        case 'leave':
        case 'stand-by':
          return action.kind;
      }
    });
    return `${input.kind} -> ${state.waitsFor}: ${actions.join(', ')}`;
  });
}
const all = [primary, node('r2'), node('r3')];
const renamed = {
  replicationId: next,
  offset: 900,
  previous: { replicationId: id, sharedUntil: 600 },
  continuesFrom: 100,
};
const toStream = [
  [0, { kind: 'owned', place }],
  [1, { kind: 'looked', candidates: all }],
  [2, { kind: 'continued', replicationId: id }],
] as const;

describe('stepArchiver', () => {
  it('begins the archive with a data set', () => {
    expect(
      play([
        [0, { kind: 'owned', place: null }],
        [1, { kind: 'looked', candidates: all }],
        [2, { kind: 'full', place: { replicationId: id, offset: 70 } }],
        [9, { kind: 'timeline-begun', place: { ...place, offset: 70 } }],
      ]),
    ).toEqual([
      'owned -> source: look',
      'looked -> answer: connect r2 anew',
      'full -> data-set: begin first at 70 after nothing',
      'timeline-begun -> stream: follow',
    ]);
  });

  it('goes on after a failover with another replica, under the new name of the history', () => {
    expect(
      play([
        ...toStream,
        [10, { kind: 'ended', place: { ...place, offset: 550 }, detail: 'closed' }],
        [
          11,
          {
            kind: 'looked',
            candidates: [
              node('p1', { role: 'unknown', state: 'unreachable', history: null }),
              node('r2', { link: 'down', state: 'link-down' }),
            ],
          },
        ],
        [
          40,
          {
            kind: 'looked',
            candidates: [
              node('r2', { role: 'primary', link: null, history: renamed }),
              node('r3', { history: renamed }),
            ],
          },
        ],
        [41, { kind: 'continued', replicationId: next }],
      ]).slice(3),
    ).toEqual([
      'ended -> source: look',
      'looked -> source: look in 25',
      'looked -> answer: connect r3 at 550',
      'continued -> stream: follow renamed',
    ]);
  });

  it('asks others before it believes that nobody can go on, and then says what is missing', () => {
    const full = { kind: 'full', place: { replicationId: next, offset: 5_000 } } as const;
    const looked = { kind: 'looked', candidates: all } as const;
    expect(
      play([
        [0, { kind: 'owned', place }],
        [1, looked],
        [2, full],
        [30, looked],
        [31, full],
        [90, looked],
        [91, full],
      ]).slice(2),
    ).toEqual([
      'full -> source: leave, look in 25',
      'looked -> answer: connect r2 at 500',
      'full -> source: leave, look in 50',
      'looked -> answer: connect r2 at 500',
      'full -> data-set: begin gap at 5000 after 500',
    ]);
  });

  it('does not wait for a node that could go on where a failover lost what is archived, and says how much', () => {
    const lost = {
      replicationId: next,
      offset: 900,
      previous: { replicationId: id, sharedUntil: 480 },
      continuesFrom: 100,
    };
    const nodes = [node('p1', { role: 'primary', link: null, history: lost }), node('r2', { history: lost })];
    const owned = stepArchiver(archiverState, { kind: 'owned', place }, { ...rules, nowMs: 0 });
    const asked = stepArchiver(owned.state, { kind: 'looked', candidates: nodes }, { ...rules, nowMs: 1 });
    expect(asked.actions).toMatchObject([{ kind: 'connect', source: { name: 'r2' } }]);
    const answer = { kind: 'full', place: { replicationId: next, offset: 900 } } as const;
    expect(stepArchiver(asked.state, answer, { ...rules, nowMs: 2 }).actions).toMatchObject([
      { kind: 'begin', reason: 'gap', detail: expect.stringContaining('lost 20 bytes that are archived') },
    ]);
  });

  it('does not go on with another data set after a rollback, even where the server would', () => {
    expect(
      play([
        ...toStream,
        [5, { kind: 'cannot-continue', reason: 'rollback', detail: 'rolled back' }],
        [6, { kind: 'looked', candidates: all }],
        [7, { kind: 'full', place: { replicationId: next, offset: 9 } }],
        [8, { kind: 'ended', place: null, detail: 'closed' }],
        [9, { kind: 'looked', candidates: all }],
      ]).slice(3),
    ).toEqual([
      'cannot-continue -> source: leave, look',
      'looked -> answer: connect r2 anew',
      'full -> data-set: begin rollback at 9 after 500',
      'ended -> source: look in 25',
      'looked -> answer: connect r2 anew',
    ]);
  });

  it('leaves a source that was promoted, froze or lost its link, if another one is fit', () => {
    const watched = (...candidates: StreamCandidate[]): string | undefined =>
      play([...toStream, [9, { kind: 'looked', candidates }]]).at(-1);
    expect(watched(...all)).toBe('looked -> stream: ');
    expect(watched(node('r2', { role: 'primary', link: null }))).toBe('looked -> source: leave, look');
    expect(watched(node('r2', { state: 'unreachable', role: 'unknown' }), node('r3'))).toBe(
      'looked -> source: leave, look',
    );
    expect(watched(node('r2', { state: 'unreachable', role: 'unknown' }))).toBe('looked -> stream: ');
    expect(watched(node('r2', { link: 'down', state: 'link-down' }), node('r3'))).toBe('looked -> source: leave, look');
  });

  it('takes a lonely primary late and leaves it as soon as a replica is back', () => {
    const gone = node('r2', { state: 'unreachable', role: 'unknown', history: null });
    const alone = { kind: 'looked', candidates: [primary, gone] } as const;
    expect(
      play([
        [0, { kind: 'owned', place }],
        [1, alone],
        [30_000, alone],
        [30_001, { kind: 'continued', replicationId: id }],
        [31_000, alone],
        [32_000, { kind: 'looked', candidates: [primary, node('r2')], at: { replicationId: id, offset: 1_001 } }],
        [33_000, { kind: 'looked', candidates: [primary, node('r2')], at: { replicationId: id, offset: 1_000 } }],
      ]).slice(1),
    ).toEqual([
      'looked -> source: look in 25',
      'looked -> answer: connect p1 at 500',
      'continued -> stream: follow',
      'looked -> stream: ',
      'looked -> stream: ',
      'looked -> source: leave, look',
    ]);
  });

  it('stands by when another worker owns the archive', () => {
    expect(play([...toStream, [3, { kind: 'disowned' }], [4, { kind: 'looked', candidates: all }]]).slice(3)).toEqual([
      'disowned -> ownership: leave, stand-by',
      'looked -> ownership: ',
    ]);
  });
});
