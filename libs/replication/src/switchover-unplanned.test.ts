import { planUnplanned } from './switchover-unplanned.ts';
import type { PreflightFacts, SentinelReading } from './switchover-check.ts';
import { switchoverReading, type SwitchoverReading } from './switchover-reading.ts';

const at = (name: string): { name: string; host: string; port: number } => ({
  name,
  host: 'h',
  port: 4730 + Number(name.slice(1)),
});
const replica = (name: string, offset: number, lineage = 'a'.repeat(40)): SwitchoverReading =>
  switchoverReading(at(name), {
    info: `role:slave\r\nmaster_replid:${lineage}\r\nslave_repl_offset:${String(offset)}\r\nmaster_host:h\r\nmaster_port:4731\r\nmaster_link_status:down\r\nslave_priority:100\r\n`,
    config: {},
    mayPause: null,
  });
const primary = switchoverReading(at('r1'), {
  info: `role:master\r\nmaster_replid:${'a'.repeat(40)}\r\nmaster_repl_offset:1000\r\n`,
  config: {},
  mayPause: null,
});
const gone = switchoverReading(at('r1'), { info: null, config: {}, mayPause: null });
const sentinel = (more: Partial<SentinelReading> = {}): SentinelReading => ({
  name: 's1',
  host: 'h',
  port: 4741,
  reachable: true,
  tilted: false,
  names: at('r1'),
  epoch: 1,
  flags: [],
  quorum: 2,
  downAfterMs: 1_000,
  failoverTimeoutMs: 15_000,
  replicas: [
    {
      ...at('r2'),
      flags: ['slave'],
      priority: 100,
      offset: 900,
      runId: 'x',
      linkDownMs: 0,
      lastReplyMs: 1,
      infoAgeMs: 1,
    },
  ],
  infoPeriodMs: null,
  valkeyMajor: null,
  ...more,
});
const facts: PreflightFacts = {
  group: 'main',
  kind: 'sentinel',
  managed: true,
  to: null,
  primary: null,
  named: at('r1'),
  epoch: 1,
  quorumOk: false,
  nodes: [gone, replica('r2', 900), replica('r3', 950)],
  sentinels: [],
  underWay: null,
  maintenance: null,
  flapping: null,
  failoverUnderWay: false,
  lastFailoverAgoMs: null,
  digestAgoMs: null,
  maxLagBytes: 1,
};
const confirmed = { force: false, confirm: 'main' };

describe('a failover on request', () => {
  it('takes the replica with the most data when no Sentinel can act, and says what is lost', () => {
    expect(planUnplanned(facts, confirmed, 1_000)).toMatchObject({
      ok: true,
      plan: { way: 'assisted', target: { name: 'r3' }, mayLose: expect.stringContaining('lacks 50 bytes') },
    });
  });

  it('never takes a replica of another lineage, however much it has', () => {
    const stranger = {
      ...facts,
      nodes: [gone, replica('r2', 900), replica('r3', 920), replica('r4', 5_000, 'b'.repeat(40))],
    };
    expect(planUnplanned(stranger, confirmed, null)).toMatchObject({ ok: true, plan: { target: { name: 'r3' } } });
  });

  it('is done by a Sentinel where one can act, and warns when that one would choose worse', () => {
    const one = { ...facts, sentinels: [sentinel()] };
    expect(planUnplanned(one, confirmed, null)).toMatchObject({
      ok: true,
      plan: { way: 'sentinel', target: { name: 'r2' }, mayLose: expect.stringContaining('r3 has 50 bytes more') },
    });
    expect(planUnplanned({ ...facts, sentinels: [sentinel({ tilted: true })] }, confirmed, null)).toMatchObject({
      plan: { way: 'assisted' },
    });
  });

  it.each([
    ['the group is only observed', { managed: false }, confirmed, 'only observed'],
    ['other work is under way', { underWay: 'a rebuild' }, confirmed, 'a rebuild is under way'],
    [
      'the primary is well',
      { primary: at('r1'), nodes: [primary, replica('r2', 900)] },
      confirmed,
      'is primary and answers',
    ],
    ['nobody confirmed it', {}, { force: false, confirm: null }, 'no Sentinel can act'],
    ['another group was confirmed', {}, { force: true, confirm: 'other' }, 'no Sentinel can act'],
    ['nobody is left', { nodes: [gone] }, confirmed, 'no replica that answers'],
  ])('is refused when %s', (_when, more, request, reason) => {
    const verdict = planUnplanned({ ...facts, ...more }, request, null);
    expect(verdict).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
    expect(verdict.ok ? '' : verdict.next).not.toBe('');
  });

  it('may be forced on a primary that answers, with the name of the group or of both', () => {
    const well = { ...facts, primary: at('r1'), nodes: [primary, replica('r2', 900), replica('r3', 950)] };
    for (const confirm of ['main', 'main/r1']) {
      expect(planUnplanned(well, { force: true, confirm }, null)).toMatchObject({
        ok: true,
        plan: { old: { name: 'r1' } },
      });
    }
  });
});
