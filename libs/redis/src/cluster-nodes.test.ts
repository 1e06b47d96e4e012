// Is the owner of a slot found in what the nodes of a cluster say, also when they disagree?
import { namedIn, ownerOf, SWITCHYARD_SLOT } from './cluster-nodes.ts';

const asked = { host: '10.0.0.9', port: 7000 };
const node = (port: number, flags: string, epoch: number, slots = ''): string =>
  `${String(port).padEnd(40, '0')} 10.0.0.1:${port}@1${port} ${flags} - 0 1426238317239 ${epoch} connected ${slots}`.trim();
const answer = (...lines: string[]) => ({ asked, text: `${lines.join('\n')}\n` });

describe('the owner of a slot', () => {
  it('is the primary that has it in one of its ranges', () => {
    const text = answer(
      node(7000, 'myself,master', 1, '0-5460'),
      node(7001, 'master', 2, '5461-10922 10925'),
      node(7002, 'master', 3, '10923-10924 10926-16383'),
      node(7003, 'slave', 3),
    );

    expect([0, 5460, 5461, 10_925, 10_926, 16_383].map((slot) => ownerOf(slot, [text])?.port)).toEqual([
      7000, 7000, 7001, 7001, 7002, 7002,
    ]);
  });

  it('is the one with the highest config epoch when nodes disagree: a primary that slept still claims it', () => {
    const old = answer(node(7000, 'myself,master', 1, '0-16383'), node(7003, 'slave', 1));
    const now = answer(node(7000, 'slave', 7), node(7003, 'myself,master', 7, '0-16383'));

    expect(ownerOf(SWITCHYARD_SLOT, [old, now])?.port).toBe(7003);
    expect(ownerOf(SWITCHYARD_SLOT, [now, old])?.port).toBe(7003);
  });

  it('is nobody while the primary has failed and none was promoted, also when one node has not noticed yet', () => {
    const failed = answer(node(7000, 'master,fail', 1, '0-16383'), node(7003, 'myself,slave', 1));
    const late = answer(node(7000, 'master', 1, '0-16383'));

    expect(ownerOf(1, [late, failed])).toBeUndefined();
    expect(ownerOf(1, [answer(node(7000, 'master,fail?', 1, '0-16383'))])?.port).toBe(7000);
  });

  it('does not change before a slot that moves has moved', () => {
    const moving = answer(
      node(7000, 'myself,master', 1, '0-16383 [12385->-abc]'),
      node(7001, 'master', 2, '[12385-<-def]'),
    );

    expect(ownerOf(12_385, [moving])?.port).toBe(7000);
  });

  it('is at the address that was asked when it does not know its own, and at its name when only that is known', () => {
    const shy = { asked, text: 'a :7000@17000 myself,master - 0 0 1 connected 0-16383' };
    const named = { asked, text: 'a :7001@17001,redis-1.example master - 0 0 1 connected 0-16383' };
    const unknown = { asked, text: 'a :0@0 master,noaddr - 0 0 1 disconnected 0-16383' };

    expect(ownerOf(1, [shy])).toEqual({ host: '10.0.0.9', port: 7000 });
    expect(ownerOf(1, [named])).toEqual({ host: 'redis-1.example', port: 7001 });
    expect(ownerOf(1, [unknown])).toBeUndefined();
  });

  it('is nobody when nobody answered', () => {
    expect(ownerOf(1, [])).toBeUndefined();
    expect(namedIn([])).toEqual([]);
  });
});
