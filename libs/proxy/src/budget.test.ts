import { RetryBudget, RetryBudgets } from './budget.ts';
import { problemIn, rawOrigin, say, startYard } from './proxy-fixture.ts';

const taken = (budget: RetryBudget, nowMs: number): number => {
  let count = 0;
  while (budget.take(nowMs)) count += 1;
  return count;
};

describe('the retry budget of a service', () => {
  it('is a fifth of its requests', () => {
    const budget = new RetryBudget();
    for (let count = 0; count < 1_000; count += 1) budget.request(5_000);
    expect([taken(budget, 5_000), taken(budget, 5_999)]).toEqual([200, 0]);
  });

  it('is three a second when there are few requests', () => {
    expect(taken(new RetryBudget(), 1_000)).toBe(30);
  });

  it('comes back as the seconds pass, and no sooner', () => {
    const budget = new RetryBudget();
    expect(taken(budget, 1_000)).toBe(30);
    expect([taken(budget, 10_999), taken(budget, 11_000)]).toEqual([0, 30]);
    for (let second = 0; second < 10; second += 1)
      for (let n = 0; n < 50; n += 1) budget.request(20_000 + second * 1_000);
    expect(taken(budget, 29_000)).toBe(100);
    expect(taken(budget, 1_000_000)).toBe(30);
  });

  it('is forgotten when its service has had no request for a while', () => {
    const budgets = new RetryBudgets();
    const budget = budgets.of('shop');
    budget.request(1_000);
    budgets.sweep(10_000);
    expect(budgets.of('shop')).toBe(budget);
    budgets.sweep(11_000);
    expect(budgets.of('shop')).not.toBe(budget);
  });
});

describe('a service that resets every connection', () => {
  it('gets at most a fifth more attempts than requests, and the refusals say so', async () => {
    const origin = await rawOrigin((socket) => socket.resetAndDestroy());
    const yard = await startYard({ ports: [origin.port, origin.port, origin.port] });
    const requests = 400;
    const whys: string[] = [];
    for (let asked = 0; asked < requests; asked += 20) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')),
      );
      for (const heard of answers) whys.push(problemIn(heard).why.join());
    }
    const attempts = yard.targets.reduce((sum, { meter }) => sum + meter.requests, 0);
    expect(whys).toHaveLength(requests);
    expect(attempts).toBeGreaterThan(requests);
    expect(attempts).toBeLessThanOrEqual(1.2 * requests);
    expect(whys.at(-1)).toContain('not tried again: the retry budget of its service is used up');
    expect(yard.plane.stats().retriesRefusedTotal).toBeGreaterThan(200);
    await yard.stop();
    await origin.close();
  });
});
