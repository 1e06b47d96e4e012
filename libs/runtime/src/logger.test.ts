import { describe, expect, it } from '@jest/globals';
import type { LoggerOptions } from './logger.ts';
import { createLogger } from './logger.ts';

const capture = (options: LoggerOptions = {}) => {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('registry', {
    env: {},
    ...options,
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  return { logger, lines };
};

describe('a logger', () => {
  it('writes one JSON line with event name, level name, service and fields', () => {
    const { logger, lines } = capture({ fields: { instanceId: 'registry-1' } });

    logger.info({ revision: 7 }, 'instance.registered');

    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        service: 'registry',
        instanceId: 'registry-1',
        revision: 7,
        msg: 'instance.registered',
      },
    ]);
  });

  it('never writes a secret', () => {
    const { logger, lines } = capture();

    logger.info(
      { password: 'hunter2', redis: { password: 'hunter2' }, request: { headers: { authorization: 'hunter2' } } },
      'x',
    );

    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  it('takes its level from the environment and says when it is unknown', () => {
    const quiet = capture({ env: { SWITCHYARD_LOG_LEVEL: 'ERROR' } });
    quiet.logger.warn('x');
    const wrong = capture({ env: { SWITCHYARD_LOG_LEVEL: 'loud' } });
    wrong.logger.debug('x');
    wrong.logger.info('y');

    expect(quiet.lines).toEqual([]);
    expect(wrong.lines.map((line) => line['msg'])).toEqual(['log.level_unknown', 'y']);
  });

  it('writes an error with its message, stack and cause', () => {
    const { logger, lines } = capture();

    logger.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'x');

    expect(lines[0]?.['err']).toMatchObject({
      message: expect.stringContaining('outer'),
      stack: expect.stringContaining('inner'),
    });
  });
});
