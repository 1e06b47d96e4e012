import { misdirected } from './misdirected.ts';

describe('a request that names the instance it is meant for', () => {
  it.each([[undefined], [''], ['  '], [[]], ['shop-a'], [' shop-a '], [['shop-a']]])('is served: %j', (header) => {
    expect(misdirected(header, 'shop-a')).toBeUndefined();
  });

  it.each([['shop-b'], ['SHOP-A'], ['shop-a, shop-b'], [['shop-a', 'shop-a']], ['shop-a '.repeat(1_000)]])(
    'is refused by another one: %j',
    (header) => {
      const refusal = misdirected(header, 'shop-a');
      expect(refusal).toMatchObject({
        code: 'misdirected',
        detail: 'this is shop-a, not the instance that the request is meant for',
      });
      expect(JSON.stringify(refusal).length).toBeLessThan(500);
      expect(refusal?.why?.[1]).toContain('no effect');
    },
  );
});
