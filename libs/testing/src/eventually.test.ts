import { eventually } from './eventually.ts';

describe('eventually', () => {
  it('asks again until the attempt succeeds and gives its value', async () => {
    let asked = 0;
    const value = await eventually(
      () => {
        asked += 1;
        if (asked === 1) throw new Error('not yet');
        return asked < 3 ? null : 'there';
      },
      { intervalMs: 1 },
    );
    expect([value, asked]).toEqual(['there', 3]);
  });

  it('says what did not come true, and why, when the time is over', async () => {
    const attempt = (): never => {
      throw new Error('still closed');
    };
    await expect(eventually(attempt, { timeoutMs: 30, intervalMs: 5, what: 'The door' })).rejects.toThrow(
      /The door did not come true in 30 ms .*still closed/,
    );
  });

  it('gives up an attempt that hangs', async () => {
    const never = (): Promise<boolean> => new Promise(() => undefined);
    await expect(eventually(never, { timeoutMs: 30 })).rejects.toThrow('still running');
  });
});
