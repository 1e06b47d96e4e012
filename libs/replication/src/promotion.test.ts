// Transcripts of the early announcement, and what must hold in whatever order messages and answers arrive.
import { seededRandom } from '@switchyard/testing';
import { addressKey, type Address } from './address.ts';
import { askedForRole, promotionState, stepPromotion, type PromotionInput, type PromotionNews } from './promotion.ts';
import { parseSentinelEvent } from './sentinel-parser.ts';

const portOf = (name: string): number => 4730 + Number(name.slice(1));
const addressOf = (name: string): Address => ({ host: '127.0.0.1', port: portOf(name) });
const nameOf = ({ port }: Address): string => `r${String(port - 4730)}`;
const master = (name: string): string => `master main 127.0.0.1 ${String(portOf(name))}`;
const replica = (name: string, of: string): string =>
  `slave 127.0.0.1:${String(portOf(name))} 127.0.0.1 ${String(portOf(name))} @ main 127.0.0.1 ${String(portOf(of))}`;
const move = (from: string, to: string): string =>
  `main 127.0.0.1 ${String(portOf(from))} 127.0.0.1 ${String(portOf(to))}`;

const told = (news: PromotionNews): string => {
  const epoch = 'epoch' in news ? `@${String(news.epoch)}` : '';
  return `${news.type} ${nameOf(news.primary)}${epoch}${news.type === 'retracted' ? `: ${news.why}` : ''}`;
};

/** Plays lines `<ms> <Sentinel> <channel> <message>`, `<ms> role r2 primary`, `<ms> majority r2@3`, `<ms> deaf s1`, `<ms> tick`. */
function play(lines: readonly string[]): readonly string[] {
  let state = promotionState('main');
  return lines.flatMap((line) => {
    const [ms = '', who = '', first = '', ...rest] = line.split(' ');
    const { state: next, news } = stepPromotion(state, inputOf(who, first, rest), Number(ms));
    state = next;
    return news.map((one) => `${ms} ${told(one)}`);
  });
}

function inputOf(who: string, first: string, rest: readonly string[]): PromotionInput {
  if (who === 'tick') return { type: 'tick' };
  if (who === 'deaf') return { type: 'deaf', sentinel: first };
  if (who === 'role') return { type: 'role', at: addressOf(first), isPrimary: rest[0] === 'primary' };
  if (who === 'majority') {
    const [name = '', epoch] = first.split('@');
    return { type: 'majority', primary: addressOf(name), epoch: epoch === undefined ? null : Number(epoch) };
  }
  return { type: 'event', sentinel: who, event: parseSentinelEvent(first, rest.join(' ')) };
}

/** s1 leads a failover from r1 and selects r2, which then says that it is primary. */
const promoted = [
  '0 majority r1@4',
  '1000 s1 +new-epoch 5',
  `1000 s1 +try-failover ${master('r1')}`,
  `1080 s1 +elected-leader ${master('r1')}`,
  `1080 s1 +failover-state-select-slave ${master('r1')}`,
  `1150 s1 +selected-slave ${replica('r2', 'r1')}`,
  '1160 role r2 replica',
  `1200 s1 +failover-state-send-slaveof-noone ${replica('r2', 'r1')}`,
  '1240 role r2 primary',
];

describe('a replica that the elected leader has selected', () => {
  it('is announced as soon as it says that it is primary, and confirmed when a Sentinel names it', () => {
    const news = play([...promoted, '1260 role r2 primary', `2100 s1 +switch-master ${move('r1', 'r2')}`]);

    expect(news).toEqual(['1240 announced r2@5', '2100 confirmed r2@5']);
  });

  it('is confirmed by the majority when the message of the Sentinels was missed', () => {
    expect(play([...promoted, '2000 majority r1@4', '2500 majority r2@5'])).toEqual([
      '1240 announced r2@5',
      '2500 confirmed r2@5',
    ]);
  });

  it('stays announced while the leader raises its epoch and still names the old primary', () => {
    expect(play([...promoted, '1800 majority r1@5'])).toEqual(['1240 announced r2@5']);
  });

  it.each([
    [`5000 s1 -failover-abort-slave-timeout ${master('r1')}`, 'has given the failover up'],
    ['5000 role r2 replica', 'says that it is a replica'],
    [`5000 s2 +switch-master ${move('r1', 'r3')}`, 'a Sentinel names'],
    ['5000 majority r3@6', 'the majority of the Sentinels names'],
    ['5000 majority r1@6', 'the majority of the Sentinels names'],
  ])('is retracted by: %s', (line, why) => {
    const news = play([...promoted, line, '5100 role r2 primary', '5200 role r3 primary']);

    expect(news[1]).toMatch(new RegExp(`^5000 retracted r2@5: .*${why}`));
    expect(news.slice(2).filter((one) => one.includes('announced'))).toEqual([]);
  });

  it('is not retracted because another Sentinel gives its own failover up', () => {
    expect(play([...promoted, `2000 s2 -failover-abort-not-elected ${master('r1')}`])).toEqual(['1240 announced r2@5']);
  });

  it('gives way to the one that the next leader selects, before that one is promoted', () => {
    const next = [
      '31000 deaf s1',
      '32000 s2 +new-epoch 6',
      `32000 s2 +try-failover ${master('r1')}`,
      `32010 s2 +elected-leader ${master('r1')}`,
      `32080 s2 +selected-slave ${replica('r3', 'r1')}`,
      '32200 role r3 primary',
      `33000 s2 +switch-master ${move('r1', 'r3')}`,
    ];

    expect(play([...promoted, ...next])).toEqual([
      '1240 announced r2@5',
      '32080 retracted r2@5: Sentinel s2 has selected 127.0.0.1:4733 in a later failover',
      '32200 announced r3@6',
      '33000 confirmed r3@6',
    ]);
  });

  it('is given up when the old primary has come back and nobody has confirmed the new one', () => {
    const back = [`3000 s2 -sdown ${master('r1')}`, '7000 tick', '8001 tick'];

    expect(play([...promoted, ...back])).toEqual([
      '1240 announced r2@5',
      '8001 retracted r2@5: the old primary is back and nobody confirms the new one',
    ]);
  });

  it('is given up when its leader dies and the old primary serves on, and kept when that one is dead', () => {
    expect(play([...promoted, '1300 role r1 primary', '1400 deaf s1', '1420 role r1 primary'])).toEqual([
      '1240 announced r2@5',
      '1420 retracted r2@5: Sentinel s1, which led the failover, is gone, and 127.0.0.1:4731 still serves',
    ]);
    expect(play([...promoted, '1400 deaf s1', '1420 role r1 replica', '1430 role r2 primary'])).toHaveLength(1);
  });

  it('is not shaken by a Sentinel that was away and tells of the failover before', () => {
    expect(play([...promoted, `1300 s3 +switch-master ${move('r3', 'r1')}`])).toEqual(['1240 announced r2@5']);
  });

  it('is not announced when the messages of its leader were interrupted, or when it does not say so', () => {
    const lines = promoted.slice(0, -1);

    expect(play([...lines, '1230 deaf s1', '1240 role r2 primary'])).toEqual([]);
    expect(play([...lines, '1240 role r2 replica', '1250 role r3 primary'])).toEqual([]);
  });

  it('is not announced for a message of a Sentinel that was not elected, of another group, or of an epoch that has passed', () => {
    const primary = '1240 role r2 primary';
    const other = promoted.map((line) => line.replaceAll(' main ', ' another '));

    expect(play([`1150 s1 +selected-slave ${replica('r2', 'r1')}`, primary])).toEqual([]);
    expect(play([...other, primary])).toEqual([]);
    expect(play(['0 majority r1@4', '5 majority r1@7', ...promoted.slice(1)])).toEqual([]);
  });
});

describe('two failovers in a row', () => {
  it('are announced and confirmed one after the other', () => {
    const second = [
      `2100 s1 +switch-master ${move('r1', 'r2')}`,
      '3200 s2 +new-epoch 6',
      `3200 s2 +try-failover ${master('r2')}`,
      `3260 s2 +elected-leader ${master('r2')}`,
      `3300 s2 +selected-slave ${replica('r3', 'r2')}`,
      '3400 role r3 primary',
      `4200 s2 +switch-master ${move('r2', 'r3')}`,
      `4300 s1 +switch-master ${move('r2', 'r3')}`,
    ];

    expect(play([...promoted, ...second])).toEqual([
      '1240 announced r2@5',
      '2100 confirmed r2@5',
      '3400 announced r3@6',
      '4200 confirmed r3@6',
      '4300 named r3',
    ]);
  });
});

describe('messages and answers in any order', () => {
  const random = seededRandom();
  const sentinels = ['s1', 's2', 's3'];
  const nodes = ['r1', 'r2', 'r3', 'r4'];

  /** What the rules demand, told anew from the inputs alone. */
  function referee() {
    const elected = new Set<string>();
    const selectedBy = new Map<string, string>();
    const saidPrimary = new Set<string>();
    return {
      hear(line: string): void {
        const [, who = '', first = '', , second = ''] = line.split(' ');
        const name = `r${String(Number(second.split(':')[1]) - 4730)}`;
        if (who === 'role') {
          if (line.endsWith('primary')) saidPrimary.add(first);
          else saidPrimary.delete(first);
        } else if (first === '+try-failover') {
          elected.delete(who);
          selectedBy.delete(who);
        } else if (first === '+elected-leader') elected.add(who);
        else if (first === '+selected-slave' && elected.has(who)) selectedBy.set(who, name);
        else if (first.startsWith('-failover-abort') || who === 'deaf') {
          const sentinel = who === 'deaf' ? first : who;
          elected.delete(sentinel);
          selectedBy.delete(sentinel);
        }
      },
      mayAnnounce: (name: string, by: string): boolean => selectedBy.get(by) === name && saidPrimary.has(name),
    };
  }

  function anyLine(atMs: number): string {
    const sentinel = random.pick(sentinels);
    const [from, to] = [random.pick(nodes), random.pick(nodes)];
    const kinds = [
      `${sentinel} +new-epoch ${String(random.integer(1, 9))}`,
      `${sentinel} +try-failover ${master(from)}`,
      `${sentinel} +elected-leader ${master(from)}`,
      `${sentinel} +elected-leader ${master(from)}`,
      `${sentinel} +selected-slave ${replica(to, from)}`,
      `${sentinel} +selected-slave ${replica(to, from)}`,
      `${sentinel} -failover-abort-slave-timeout ${master(from)}`,
      `${sentinel} +switch-master ${move(from, to)}`,
      `${sentinel} -sdown ${master(from)}`,
      `role ${to} primary`,
      `role ${to} primary`,
      `role ${to} primary`,
      `role ${to} replica`,
      `majority ${to}@${String(random.integer(1, 9))}`,
      `deaf ${sentinel}`,
      'tick',
    ];
    return `${String(atMs)} ${random.pick(kinds)}`;
  }

  it('announce nobody who was not selected by an elected leader and says so, and leave nobody at one that was overruled', () => {
    let announcements = 0;
    for (let round = 0; round < 2_000; round += 1) {
      let state = promotionState('main');
      const rules = referee();
      const lines: string[] = [];
      const context = (): string => `seed ${String(random.seed)}, round ${String(round)}:\n${lines.join('\n')}`;
      for (let atMs = 0; atMs < 40_000; atMs += random.integer(1, 2_000)) {
        const line = anyLine(atMs);
        lines.push(line);
        rules.hear(line);
        const [, who = '', first = '', ...rest] = line.split(' ');
        const before = state.announced;
        const { state: next, news } = stepPromotion(state, inputOf(who, first, rest), atMs);
        state = next;
        for (const one of news) {
          if (one.type === 'announced') {
            announcements += 1;
            if (!rules.mayAnnounce(nameOf(one.primary), one.by))
              throw new Error(`${nameOf(one.primary)} was announced by ${one.by} against the rules\n${context()}`);
          }
          // who is told to come is told to go, or that it was right
          if (one.type === 'confirmed' || one.type === 'retracted') {
            expect({ was: before === null ? null : addressKey(before.primary), context: context() }).toMatchObject({
              was: addressKey(one.primary),
            });
          }
        }
        const now = state.announced;
        if (now !== null) expect(askedForRole(state, atMs)).toContainEqual(now.primary);
        const isOverruled =
          before !== null &&
          ((first.startsWith('-failover-abort') && before.by === who) ||
            (who === 'role' && rest[0] === 'replica' && first === nameOf(before.primary)) ||
            (who === 'majority' &&
              Number(first.split('@')[1]) > (before.epoch ?? 9) &&
              !first.startsWith(`${nameOf(before.primary)}@`)));
        if (isOverruled) expect({ announced: state.announced, context: context() }).toMatchObject({ announced: null });
        const changed = before !== null && (now === null || addressKey(now.primary) !== addressKey(before.primary));
        if (changed) expect(news.some(({ type }) => type === 'retracted' || type === 'confirmed')).toBe(true);
      }
    }
    expect(announcements).toBeGreaterThan(200);
  });
});
