import type { Tail } from '@switchyard/catalog';
import { createTailReader } from './event-stream.ts';

describe('what watchers have missed', () => {
  it('is asked of Redis once for all who left at the same place', async () => {
    const asked: number[] = [];
    const answers: ((tail: Tail) => void)[] = [];
    const readTail = createTailReader({
      tail: async ({ revision }) => {
        asked.push(revision);
        return await new Promise((resolve) => answers.push(resolve));
      },
    });
    const all = [
      ...Array.from({ length: 1_000 }, () => readTail({ epoch: 1, revision: 5 })),
      readTail({ epoch: 1, revision: 6 }),
    ];
    expect(asked).toEqual([5, 6]);
    for (const answer of answers) answer({ type: 'gap', cursor: { epoch: 1, revision: 9 } });

    for (const tail of await Promise.all(all)) expect(tail.type).toBe('gap');
    void readTail({ epoch: 1, revision: 5 });
    expect(asked).toEqual([5, 6, 5]);
  });

  it('is asked again after Redis was away', async () => {
    let asked = 0;
    const readTail = createTailReader({
      tail: async () => {
        asked += 1;
        return await Promise.reject(new Error('away'));
      },
    });
    for (let n = 0; n < 2; n += 1) await expect(readTail({ epoch: 1, revision: 5 })).rejects.toThrow('away');

    expect(asked).toBe(2);
  });
});
