import { redisGroupInputSchema } from '@switchyard/protocol';
import { admit } from './admission.ts';
import type { AdmissionInput, Surveyed } from './admission-survey.ts';
import { parseInfo } from './info-parser.ts';
import type { SentinelView } from './sentinel-parser.ts';

const primary = { host: '10.0.0.1', port: 6379 };

const node = (
  host: string,
  facts: { readonly info: string; readonly offsetMs?: number; readonly given?: boolean },
): Surveyed => ({
  host,
  port: 6379,
  given: facts.given === false ? null : 'seed',
  failure: null,
  speaks: null,
  info: parseInfo(`redis_mode:standalone\nrun_id:id-${host}\n${facts.info}`),
  isCluster: false,
  sentinelId: null,
  groups: [],
  clockOffsetMs: facts.offsetMs ?? 0,
  lacks: [],
});
const first = (version = '7.0.15'): Surveyed => node('10.0.0.1', { info: `redis_version:${version}\nrole:master` });
const replica = (version = '7.0.15', offsetMs = 0): Surveyed =>
  node('10.0.0.2', { info: `redis_version:${version}\nrole:slave\nmaster_host:10.0.0.1\nmaster_port:6379`, offsetMs });

const view = (changes: Partial<SentinelView> = {}): SentinelView => ({
  group: 'shop',
  primary,
  flags: ['master'],
  epoch: 1,
  quorum: 2,
  otherSentinels: 2,
  replicas: 1,
  downAfterMs: 1_000,
  failoverTimeoutMs: 15_000,
  ...changes,
});
const sentinel = (host: string, changes: Partial<SentinelView> = {}): Surveyed => ({
  ...node(host, { info: '' }),
  port: 26_379,
  info: parseInfo(`redis_mode:sentinel\nrun_id:id-${host}`),
  sentinelId: `sentinel-${host}`,
  clockOffsetMs: null,
  groups: [{ view: view(changes), replicas: [], peers: [] }],
});
const three = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((host) => sentinel(host));

const judged = (surveyed: readonly Surveyed[], more: { readonly input?: object; readonly stepMs?: number } = {}) => {
  const input = redisGroupInputSchema.parse({ seeds: ['10.0.0.1:6379'], ...more.input });
  const context: AdmissionInput = {
    name: 'shop',
    input,
    survey: { surveyed, clockStepMs: more.stepMs ?? 0 },
    others: [],
  };
  const { admitted, problems, members } = admit(context);
  return { admitted, codes: problems.map(({ code, weight }) => `${weight} ${code}`), members };
};

describe('a group whose members agree', () => {
  it('is taken on; who is primary, the state says, whatever the order', () => {
    const { admitted, codes, members } = judged([replica(), ...three, first()]);
    expect({ admitted, codes }).toEqual({ admitted: true, codes: [] });
    expect(members).toMatchObject({ primary, nodes: [{ host: '10.0.0.1' }, { host: '10.0.0.2' }], unaware: [] });
    expect(members.sentinels).toHaveLength(3);
  });

  it('counts a Sentinel once that is given under one name and announced under another', () => {
    const peer = { host: '10.0.0.1', port: 26_379, id: 'sentinel-10.0.0.1', flags: [] };
    const alias: Surveyed = { ...sentinel('sentinel-one.example'), sentinelId: 'sentinel-10.0.0.1' };
    const second = sentinel('10.0.0.2');
    const knows: Surveyed = { ...second, groups: [{ view: view(), replicas: [], peers: [peer] }] };
    const found = { ...sentinel('10.0.0.1'), given: null };
    const { members } = judged([alias, knows, found, first(), replica()]);
    expect(members.sentinels.map(({ host }) => host).sort()).toEqual(['10.0.0.1', '10.0.0.2']);
  });
});

describe('versions', () => {
  it.each([
    ['7.0.15', '7.0.15', 'manage', []],
    ['7.0.15', '7.2.5', 'manage', ['advice version_mix']],
    ['7.0.15', '7.0.11', 'manage', ['advice version_mix']],
    ['7.2.5', '7.0.15', 'manage', ['refused replica_older']],
    ['7.2.5', '7.0.15', 'observe', ['warning replica_older']],
  ])('primary %s, replica %s, %s: %p', (ahead, behind, manage, codes) => {
    const said = judged([first(ahead), replica(behind), ...three], { input: { manage } });
    expect(said.codes).toEqual(codes);
  });
});

describe('clocks', () => {
  it('that differ are named, but not when our own has just stepped', () => {
    const nodes = [first(), replica('7.0.15', -3_600_000), ...three];
    expect(judged(nodes)).toMatchObject({ admitted: true, codes: ['advice clock_differs'] });
    expect(judged(nodes, { stepMs: 3_600_000 })).toMatchObject({ admitted: true, codes: ['advice clock_stepped'] });
    expect(judged([first(), replica('7.0.15', 29_000), ...three]).codes).toEqual([]);
  });
});

describe('Sentinels', () => {
  const on = (hosts: readonly string[]): readonly Surveyed[] => [
    first(),
    replica(),
    ...hosts.map((host) => sentinel(host)),
  ];
  it.each([
    [['10.0.0.1'], ['advice one_sentinel']],
    [
      ['10.0.0.1', '10.0.0.2'],
      ['advice two_sentinels', 'advice two_hosts_no_witness'],
    ],
    [['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'], ['advice even_sentinels']],
  ])('%p: %p', (hosts, codes) => {
    expect(judged(on(hosts)).codes).toEqual(codes);
  });

  it('with a down-after below 500 ms are named, a document with one is not even valid', () => {
    const hasty = [first(), replica(), ...three.map(({ host }) => sentinel(host, { downAfterMs: 100 }))];
    expect(judged(hasty).codes).toEqual(Array.from({ length: 3 }, () => 'advice down_after_too_short'));
    const parsed = redisGroupInputSchema.safeParse({ seeds: ['10.0.0.1:6379'], downAfter: '100ms' });
    expect(parsed.error?.issues[0]?.message).toContain('a busy moment counts as a death');
  });

  it('of which most are away name nobody', () => {
    const gone = { kind: 'gone', detail: 'connect ECONNREFUSED' } as const;
    const away = three
      .slice(1)
      .map((one): Surveyed => ({ ...one, given: 'sentinel', info: null, groups: [], failure: gone }));
    const { admitted, codes } = judged([first(), replica(), sentinel('10.0.0.1'), ...away]);
    expect(admitted).toBe(false);
    expect(codes).toContain('refused sentinel_minority');
  });

  it('whose primary does not answer are believed when they only are to be observed', () => {
    const gone: Surveyed = {
      ...first(),
      info: null,
      failure: { kind: 'gone', detail: 'connect ECONNREFUSED' },
      given: null,
    };
    expect(judged([gone, replica(), ...three])).toMatchObject({ admitted: true, codes: ['warning primary_away'] });
    const empty = three.map((one): Surveyed => ({ ...one, groups: [] }));
    expect(judged([gone, replica(), ...empty], { input: { manage: 'manage' } }).codes).toEqual([
      'refused primary_away',
    ]);
  });
});
