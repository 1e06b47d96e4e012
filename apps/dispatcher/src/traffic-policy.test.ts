import { createLogger, systemClock } from '@switchyard/runtime';
import type { ReplayVerdict } from '@switchyard/proxy';
import { createEjections } from './ejections.ts';
import { createRequestLog } from './request-log.ts';
import { trafficPolicy } from './traffic-policy.ts';

const common = {
  current: () => undefined,
  log: createRequestLog(1),
  ejections: createEjections({ clock: systemClock, logger: createLogger('test', { level: 'silent' }) }),
};
const claim = { service: 'shop', fingerprint: 'POST\nkey', requestId: 'r1' };

describe('a keyed request that may have been carried out', () => {
  it('is sent once more only when the fence grants it, and its verdict is handed on', async () => {
    const asked: object[] = [];
    const verdict = { granted: false, reason: 'not repeated: somebody else did' };
    const fence = {
      claim: (one: object) => {
        asked.push(one);
        return Promise.resolve(verdict);
      },
    };
    const policy = trafficPolicy({ ...common, fence });

    const heard = await new Promise<ReplayVerdict>((resolve) => policy.claimReplay?.(claim, resolve));

    expect(heard).toBe(verdict);
    expect(asked).toEqual([claim]);
  });

  it('is not sent again without a fence', () => {
    expect(trafficPolicy(common)).not.toHaveProperty('claimReplay');
  });
});
