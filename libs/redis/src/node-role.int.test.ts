// Does a process find out who is primary with the few rights that users of applications have?
import { createLogger, systemClock } from '@switchyard/runtime';
import { freePort, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createPromotionWatch } from './index.ts';
import type { SaidRole } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('the role of a node', () => {
  let node: TestRedis;
  beforeEach(async () => {
    node = await startRedis();
  });
  afterEach(() => node.stop());
  const askedAs = async (username: string, password = 'secret'): Promise<readonly SaidRole[]> => {
    const watch = createPromotionWatch({
      sentinels: [],
      group: 'main',
      name: 'test',
      logger,
      clock: systemClock,
      access: { username, password },
      onNews: () => undefined,
    });
    try {
      return [await watch.role(node), await watch.role(node), await watch.role({ ...node, port: await freePort() })];
    } finally {
      watch.close();
    }
  };

  it.each(['+role', '+info'])('is found by %s alone', async (right) => {
    await node.cli('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-@dangerous', right);

    expect(await askedAs('app')).toEqual(['primary', 'primary', 'away']);
  });

  it('is not known without both, or with a wrong password: the Sentinels are believed then', async () => {
    await node.cli('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-@dangerous');

    expect(await askedAs('app')).toEqual(['unknown', 'unknown', 'away']);
    expect((await askedAs('app', 'wrong'))[0]).not.toBe('primary');
  });
});
