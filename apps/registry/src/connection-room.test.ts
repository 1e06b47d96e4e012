import { createLogger } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { connectionRoom, openFilesIn } from './connection-room.ts';

const limits = (soft: string): string => `Limit                     Soft Limit           Hard Limit           Units
Max processes             63000                63000                processes
Max open files            ${soft}                524288               files
`;

function room(soft: string, wanted: number) {
  const lines: { msg: string; next?: string; maxConnections?: number }[] = [];
  const logger = createLogger('test', { destination: { write: (line: string) => void lines.push(JSON.parse(line)) } });
  const clock = manualClock();
  return {
    ...connectionRoom({ wanted, setting: 'SWITCHYARD_X_MAX_CONNECTIONS', clock, logger, limits: limits(soft) }),
    clock,
    lines,
  };
}

describe('the room for connections', () => {
  it('is as set when the system gives enough open files', () => {
    const { maxConnections, lines } = room('65536', 20_000);

    expect([maxConnections, lines]).toEqual([20_000, []]);
  });

  it('is what the system gives when that is less, and says how to change it', () => {
    const { maxConnections, lines } = room('1024', 20_000);

    expect(maxConnections).toBe(896);
    expect(lines).toMatchObject([{ msg: 'connections.limited', maxConnections: 896 }]);
    expect(lines[0]?.next).toContain('ulimit -n');
  });

  it('says once a minute that it is full, with the setting and the limit that go together', async () => {
    const { onFull, lines, clock } = room('65536', 20_000);
    for (let n = 0; n < 5; n += 1) onFull();
    await clock.advance(61_000);
    onFull();

    expect(lines.map(({ msg }) => msg)).toEqual(['connections.refused', 'connections.refused']);
    expect(lines[0]?.next).toMatch(/SWITCHYARD_X_MAX_CONNECTIONS.*ulimit -n/);
  });

  it.each([
    [limits('unlimited'), undefined],
    ['', undefined],
    [limits('4096'), 4096],
  ])('reads the limit of open files', (text, expected) => {
    expect(openFilesIn(text)).toBe(expected);
  });
});
