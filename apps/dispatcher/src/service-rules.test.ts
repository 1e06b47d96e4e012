import { defaultEjectionSettings } from '@switchyard/failure-detection';
import { defaultServicePolicy, storedServiceSchema } from '@switchyard/protocol';
import { defaultServiceRules } from '@switchyard/proxy';
import { policyOf } from './catalog-fixture.ts';
import { ejectionSettingsOf, rulesOf, slowStartOf } from './service-rules.ts';

describe('the policy of a service', () => {
  it('that says nothing means what a service without a policy gets', () => {
    expect(rulesOf(defaultServicePolicy)).toEqual(defaultServiceRules);
    expect(ejectionSettingsOf(defaultServicePolicy)).toEqual(defaultEjectionSettings);
    expect(slowStartOf(defaultServicePolicy)).toBeUndefined();
  });

  it('becomes rules in ms', () => {
    const policy = policyOf({
      retry: { attempts: 2, hedge: { after: '1.5s' } },
      limits: { inFlightPerInstance: 8, queue: 0, queueTimeout: '250ms' },
      slowStart: '1m',
      slowStartMinPercent: 25,
      outlier: { consecutiveFailures: 2, baseEjectionTime: '3s', maxEjectionTime: '6s', maxEjectedPercent: 70 },
    });
    const rules = { attempts: 2, inFlightPerInstance: 8, queued: 0, queuedMs: 250, hedge: { afterMs: 1_500 } };
    expect(rulesOf(policy)).toEqual(rules);
    expect(slowStartOf(policy)).toEqual({ windowMs: 60_000, minPercent: 25 });
    expect(ejectionSettingsOf(policy)).toMatchObject({
      failures: 2,
      connectFailures: 1,
      firstMs: 3_000,
      longestMs: 6_000,
      mostPercent: 70,
    });
    expect(rulesOf(policyOf({ retry: { hedge: { quantile: 0.95 } } })).hedge).toEqual({ quantile: 0.95 });
    expect(ejectionSettingsOf(policyOf({ outlier: { enabled: false } }))).toBeUndefined();
  });

  it('of a later version loses what is not understood, and nothing else', () => {
    const stored = { retry: { attempts: 4, hedge: { adaptive: true } }, outlier: { baseEjectionTime: '1m' } };
    const policy = storedServiceSchema.parse(stored);
    expect(rulesOf(policy)).toMatchObject({ attempts: 4, hedge: undefined });
    expect(ejectionSettingsOf(policy)).toMatchObject({ firstMs: 60_000, longestMs: 60_000 });
  });
});
