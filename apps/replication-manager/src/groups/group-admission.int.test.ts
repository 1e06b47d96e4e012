import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { redisGroupInputSchema } from '@switchyard/protocol';
import { admit, type Admission } from '@switchyard/replication';
import { createLogger, systemClock as clock } from '@switchyard/runtime';
import {
  eventually,
  freePort,
  startRedis,
  startSentinel,
  startSentinelGroup,
  type SentinelGroup,
  type TestRedis,
} from '@switchyard/testing';
import { takeSurvey } from './group-admission-survey.ts';

const logger = createLogger('admission-test', { level: 'silent' });
const at = ({ host, port }: TestRedis): string => `${host}:${String(port)}`;

interface World {
  readonly alpha: SentinelGroup;
  readonly lone: TestRedis;
  readonly follower: TestRedis;
  readonly empty: readonly TestRedis[];
  readonly locked: TestRedis;
  readonly clustered: TestRedis;
}
let world: World;

beforeAll(async () => {
  const [alpha, lone, clustered, locked, ...empty] = await Promise.all([
    startSentinelGroup({ replicas: 1, group: 'alpha' }),
    startRedis(),
    startRedis({ args: ['--cluster-enabled', 'yes'] }),
    startRedis(),
    startSentinel([]),
    startSentinel([]),
    startSentinel([]),
  ]);
  const follower = await startRedis({ replicaOf: lone });
  await eventually(async () => (await follower.info('replication', 'master_link_status')) === 'up');
  await locked.cli('ACL', 'SETUSER', 'narrow', 'on', '>narrow-pass', '+ping', '+hello', '+auth');
  await locked.cli('ACL', 'SETUSER', 'reader', 'on', '>reader-pass', '~*', '&*', '+@all', '-replicaof', '-publish');
  await locked.cli('CONFIG', 'SET', 'requirepass', 'right-pass');
  world = { alpha, lone, follower, clustered, locked, empty };
}, 60_000);

afterAll(async () => {
  const { alpha, lone, follower, clustered, locked, empty } = world;
  await Promise.all([alpha, lone, follower, clustered, locked, ...empty].map((one) => one.stop()));
}, 30_000);

const judge = async (
  document: object,
  options: { name?: string; others?: Parameters<typeof admit>[0]['others'] } = {},
): Promise<Admission> => {
  const { name = 'beta', others = [] } = options;
  const input = redisGroupInputSchema.parse(document);
  const survey = await takeSurvey({ name, input, clock, logger });
  return admit({ name, input, survey, others });
};

const refusedBy = ({ admitted, problems }: Admission): readonly string[] => {
  expect(admitted).toBe(false);
  for (const { detail, next } of problems) expect([detail, next].every((text) => text.length > 10)).toBe(true);
  return problems.filter(({ weight }) => weight === 'refused').map(({ code }) => code);
};

const nodesOf = (group: SentinelGroup): readonly string[] => group.nodes.map(at);
const sentinelsOf = (group: SentinelGroup): readonly string[] => group.sentinels.map(at);

describe('a group is not taken on', () => {
  it('when it has one node and nobody could take over', async () => {
    const { locked, empty } = world;
    const judged = await judge({
      seeds: [at(locked)],
      sentinels: empty.map(at),
      manage: 'manage',
      password: 'right-pass',
    });
    expect(refusedBy(judged)).toEqual(['one_node_group']);
    expect(judged.problems[0]?.next).toContain('"kind": "single"');
  }, 20_000);

  it('when half of its seeds are away, each named with how', async () => {
    const { alpha } = world;
    const nobody = `127.0.0.1:${String(await freePort())}`;
    const judged = await judge(
      { seeds: [nobody, 'no-such-host.invalid:6379', ...sentinelsOf(alpha).slice(0, 2)] },
      { name: 'alpha' },
    );
    expect(refusedBy(judged)).toEqual(expect.arrayContaining(['unreachable', 'name_unknown']));
    expect(judged.problems.map(({ detail }) => detail).join()).toContain(`${nobody} refuses connections`);
    // One of four is not half: it is taken on, and the one that is away is named.
    const rest = await judge({ seeds: [nobody, ...sentinelsOf(alpha)] }, { name: 'alpha' });
    expect(rest).toMatchObject({ admitted: true, problems: [{ code: 'unreachable', weight: 'warning' }] });
  }, 20_000);

  it('when a seed hangs', async () => {
    const { lone } = world;
    lone.freeze();
    try {
      const judged = await judge({ kind: 'single', seeds: [at(lone)] });
      expect(refusedBy(judged)).toContain('unreachable');
      expect(judged.problems[0]?.detail).toContain('in time');
    } finally {
      lone.resume();
    }
  }, 20_000);

  it('without the password, with a wrong one, or as a user that may not ask', async () => {
    const seeds = [at(world.locked)];
    expect(refusedBy(await judge({ kind: 'single', seeds }))).toEqual(['password_needed']);
    expect(refusedBy(await judge({ kind: 'single', seeds, password: 'nope' }))).toEqual(['wrong_password']);
    const narrow = await judge({ kind: 'single', seeds, username: 'narrow', password: 'narrow-pass' });
    expect(refusedBy(narrow)).toEqual(['no_permission']);
    expect(narrow.problems[0]?.next).toContain('ACL SETUSER narrow +info');
    const reader = await judge({
      kind: 'single',
      seeds,
      username: 'reader',
      password: 'reader-pass',
      manage: 'manage',
    });
    expect(reader).toMatchObject({ admitted: true, problems: [{ code: 'no_permission', weight: 'advice' }] });
    expect(reader.problems[0]?.detail).toContain('REPLICAOF, PUBLISH');
  }, 20_000);

  it('when a seed follows a foreign primary, or two seeds are primaries', async () => {
    const { alpha, follower, lone } = world;
    const foreign = await judge(
      { seeds: [...nodesOf(alpha), at(follower)], sentinels: sentinelsOf(alpha) },
      { name: 'alpha' },
    );
    expect(refusedBy(foreign)).toEqual(['foreign_primary']);
    expect(foreign.problems[0]?.next).toContain(at(follower));
    const two = await judge({ seeds: [...nodesOf(alpha), at(lone)], sentinels: sentinelsOf(alpha) }, { name: 'alpha' });
    expect(refusedBy(two)).toEqual(['two_primaries']);
    expect(two.problems[0]?.detail).toContain(at(lone));
  }, 20_000);

  it('under another name than the Sentinels use, or one that no Sentinel knows', async () => {
    const { alpha, empty } = world;
    const judged = await judge({ seeds: [...nodesOf(alpha)], sentinels: [...sentinelsOf(alpha)], manage: 'manage' });
    expect(refusedBy(judged)).toContain('known_under_other_name');
    const unknown = await judge({ seeds: sentinelsOf(alpha) });
    expect(refusedBy(unknown)).toEqual(['group_unknown']);
    expect(unknown.problems[0]?.detail).toContain('they know alpha');
    const observed = await judge({ seeds: nodesOf(alpha), sentinels: empty.map(at) });
    expect(refusedBy(observed)).toEqual(['sentinel_unaware']);
  }, 20_000);

  it('when another group has the same nodes', async () => {
    const { lone } = world;
    const others = [{ name: 'gamma', nodes: [{ host: '127.0.0.1', port: lone.port }], runIds: [] }];
    const judged = await judge(
      { kind: 'single', seeds: [`localhost:${String(lone.port)}`] },
      {
        others: [{ ...others[0], name: 'gamma', nodes: [], runIds: [String(await lone.info('server', 'run_id'))] }],
      },
    );
    expect(refusedBy(judged)).toEqual(['nodes_in_other_group']);
    expect(refusedBy(await judge({ kind: 'single', seeds: [at(lone)] }, { others }))).toEqual(['nodes_in_other_group']);
  }, 20_000);

  it('as a kind that it is not', async () => {
    const { alpha, clustered, lone, follower, empty } = world;
    expect(refusedBy(await judge({ seeds: [at(clustered)], sentinels: empty.map(at) }))).toEqual(['is_cluster']);
    expect(refusedBy(await judge({ kind: 'single', seeds: [at(clustered)] }))).toEqual(['is_cluster']);
    expect(refusedBy(await judge({ kind: 'cluster', seeds: [at(lone)] }))).toEqual(['no_cluster']);
    expect(refusedBy(await judge({ kind: 'single', seeds: sentinelsOf(alpha).slice(0, 1) }))).toEqual(['is_sentinel']);
    expect(refusedBy(await judge({ kind: 'single', seeds: [at(follower)] }))).toEqual(['is_replica']);
    expect(refusedBy(await judge({ seeds: nodesOf(alpha), sentinels: [at(lone)] }, { name: 'alpha' }))).toContain(
      'no_sentinel',
    );
    expect(refusedBy(await judge({ seeds: [at(lone)] }))).toContain('no_sentinels');
  }, 20_000);

  it('when it is to be asked over TLS at a plain port', async () => {
    const judged = await judge({ kind: 'single', seeds: [at(world.lone)], tls: true });
    expect(refusedBy(judged)).toEqual(['tls_mismatch']);
  }, 20_000);

  it('with a quorum that cannot be reached', async () => {
    const { alpha } = world;
    expect(refusedBy(await judge({ seeds: sentinelsOf(alpha), quorum: 4 }, { name: 'alpha' }))).toEqual([
      'impossible_quorum',
    ]);
    const low = await judge({ seeds: sentinelsOf(alpha), quorum: 1 }, { name: 'alpha' });
    expect(low).toMatchObject({ admitted: true, problems: [{ code: 'quorum_below_majority', weight: 'advice' }] });
  }, 20_000);

  it('and nothing is touched by any question', async () => {
    const { alpha, empty, lone, follower, clustered } = world;
    const nodes = [...alpha.nodes, lone, follower, clustered];
    const sentinels = [...alpha.sentinels, ...empty];
    const sums = async (): Promise<readonly string[]> =>
      Promise.all(
        sentinels.map(async ({ dir }) =>
          createHash('sha256')
            .update(await readFile(join(dir, 'sentinel.conf')))
            .digest('hex'),
        ),
      );
    const before = await sums();
    const watched = await Promise.all(nodes.map((node) => node.cli('CONFIG', 'RESETSTAT')));
    expect(watched).toHaveLength(nodes.length);
    for (const manage of ['observe', 'manage']) {
      await judge({ seeds: [...nodes, ...sentinels].map(at), sentinels: empty.map(at), manage });
      await judge({ seeds: sentinelsOf(alpha), manage, downAfter: '5s', quorum: 3 }, { name: 'alpha' });
    }
    expect(await sums()).toEqual(before);
    // What is not of this test is of the Sentinels, the replicas, and of `cli` itself.
    const questions =
      /^(info|time|ping|hello|acl\|(whoami|dryrun)|client\|(setname|setinfo)|config\|resetstat|replconf|publish|subscribe|command\|.*|command)$/;
    for (const node of nodes) {
      const stats = String(await node.cli('INFO', 'commandstats'));
      const commands = stats.split('\r\n').flatMap((line) => /^cmdstat_([^:]+):/.exec(line)?.[1] ?? []);
      expect(commands).toContain('info');
      expect(commands.filter((command) => !questions.test(command))).toEqual([]);
    }
  }, 30_000);
});
