// May a group be looked after as it is described? Judged by what everybody that it names said when asked once; nothing is touched.
import { addressKey, sameAddress, type Address } from './address.ts';
import { reachProblems } from './admission-reach.ts';
import { rootsOf, type Roots } from './admission-roots.ts';
import { settingAdvice } from './admission-settings.ts';
import {
  distinct,
  identityOf,
  isNode,
  isSentinel,
  knownAs,
  refused,
  surveyedAt,
  warned,
  type AdmissionInput,
  type AdmissionProblem,
  type Members,
  type Survey,
  type Surveyed,
} from './admission-survey.ts';

/** The judgement; `members` is what to go on with when nothing refuses it. */
export interface Admission {
  readonly admitted: boolean;
  /** The gravest first. */
  readonly problems: readonly AdmissionProblem[];
  readonly members: Members;
}

const weights = { refused: 0, warning: 1, advice: 2 } as const;
const mostProblems = 64;

/** Judges. Pure: the same survey gives the same answer. */
export const admit = (context: AdmissionInput): Admission => {
  const reach = reachProblems(context);
  const answering = context.survey.surveyed.some((one) => one.given !== null && one.info !== null);
  const kind = answering ? kindProblems(context) : [];
  const isGroup = answering && kind.length === 0;
  const roots = isGroup && context.input.kind !== 'cluster' ? rootsOf(context) : noRoots;
  const members = membersOf(context, roots);
  const problems = [
    ...reach,
    ...(answering || reach.some(({ weight }) => weight === 'refused') ? [] : rootsOf(context).problems),
    ...kind,
    ...roots.problems,
    ...(isGroup ? otherGroupProblems(context, members) : []),
    ...(isGroup && context.input.kind === 'sentinel' ? sentinelProblems(context, members) : []),
    ...(isGroup && context.input.kind === 'single' ? singleProblems(context) : []),
    ...(answering ? settingAdvice(context, members) : []),
  ]
    .sort((a, b) => weights[a.weight] - weights[b.weight])
    .slice(0, mostProblems);
  return { admitted: problems.every(({ weight }) => weight !== 'refused'), problems, members };
};

const noRoots: Roots = { primary: null, problems: [] };

/** Nodes of one kind given as another. */
const kindProblems = ({ input, survey }: AdmissionInput): readonly AdmissionProblem[] => {
  const given = survey.surveyed.filter((one) => one.given !== null && one.info !== null);
  const list = (some: readonly Surveyed[]): string => some.map(addressKey).join(', ');
  const clustered = given.filter((one) => isNode(one) && one.isCluster);
  const plain = given.filter((one) => isNode(one) && !one.isCluster);
  const sentinels = given.filter(isSentinel);
  const noSentinels = given.filter((one) => one.given === 'sentinel' && isNode(one));
  const found: AdmissionProblem[] = [];
  if (input.kind !== 'cluster' && clustered.length > 0) {
    const detail = `${list(clustered)}: part of a Redis Cluster, which fails over by itself and knows no Sentinels`;
    found.push(refused('is_cluster', detail, 'PUT it with "kind": "cluster"'));
  }
  if (input.kind === 'cluster' && plain.length > 0) {
    const detail = `${list(plain)}: not part of a Redis Cluster (cluster_enabled is 0)`;
    found.push(
      refused('no_cluster', detail, 'PUT it with "kind": "sentinel" or "single", or give nodes of the cluster'),
    );
  }
  if (input.kind !== 'sentinel' && sentinels.length > 0) {
    const groups = sentinels.flatMap(({ groups: known }) => known.map(({ view }) => view.group));
    const knows = groups.length === 0 ? 'no group' : [...new Set(groups)].slice(0, 5).join(', ');
    const detail = `${list(sentinels)}: a Sentinel (it knows ${knows}), no data node`;
    found.push(refused('is_sentinel', detail, `PUT it with "kind": "sentinel", or give the address of a node`));
  }
  if (input.kind === 'sentinel' && noSentinels.length > 0) {
    const detail = `${list(noSentinels)}: given in sentinels, but a data node`;
    found.push(refused('no_sentinel', detail, 'move it to seeds; a Sentinel is started with redis-server --sentinel'));
  }
  if (input.kind !== 'sentinel' && (input.sentinels?.length ?? 0) > 0 && sentinels.length === 0) {
    found.push(refused('sentinels_not_used', `a group of kind ${input.kind} has no Sentinels`, 'leave sentinels out'));
  }
  return found;
};

const membersOf = ({ name, input, survey }: AdmissionInput, { primary }: Roots): Members => {
  const sentinelsGiven = survey.surveyed.filter(
    (one) => one.given === 'sentinel' || (one.given === 'seed' && isSentinel(one)),
  );
  const knowing = survey.surveyed.filter((one) => isSentinel(one) && knownAs(one, name) !== undefined);
  const peers = knowing.flatMap((one) => knownAs(one, name)?.peers ?? []);
  // An address that others announce wins over the one in the document when it leads to the same Sentinel from here, too.
  const announced = new Map(peers.map((peer) => [identityOf(survey, peer), peer]));
  const sentinels = distinct<Address>(survey, [...sentinelsGiven, ...peers]).map((one): Address => {
    const { host, port } = announced.get(identityOf(survey, one)) ?? one;
    return { host, port };
  });
  const unaware = sentinels.filter((at) => {
    const one = surveyedAt(survey, at);
    return one !== undefined && isSentinel(one) && knownAs(one, name) === undefined;
  });
  if (input.kind === 'cluster')
    return { primary: null, nodes: survey.surveyed.filter(isNode), sentinels: [], unaware: [] };
  if (primary === null) return { primary: null, nodes: [], sentinels, unaware };
  const head = survey.surveyed.find((one) => identityOf(survey, one) === primary.id);
  const followers = survey.surveyed.filter(({ info }) => {
    const at = info?.follows ?? null;
    return at !== null && identityOf(survey, at) === primary.id;
  });
  const listed = knowing.flatMap((one) => knownAs(one, name)?.replicas ?? []);
  const nodes = distinct<Address>(survey, [primary, ...(head?.info?.replicas ?? []), ...followers, ...listed]).map(
    ({ host, port }) => ({ host, port }),
  );
  return { primary: { host: primary.host, port: primary.port }, nodes, sentinels, unaware };
};

/** The same nodes under two names would be managed twice. */
const otherGroupProblems = (
  { name, survey, others }: AdmissionInput,
  members: Members,
): readonly AdmissionProblem[] => {
  const ids = new Set(members.nodes.map((at) => identityOf(survey, at)));
  const given = survey.surveyed.filter(isNode);
  const byManager = others
    .filter((other) => other.name !== name)
    .flatMap((other) => {
      const shared = [...members.nodes, ...given].find(
        (at) => other.nodes.some((node) => sameAddress(node, at)) || other.runIds.includes(identityOf(survey, at)),
      );
      return shared === undefined
        ? []
        : [
            refused(
              'nodes_in_other_group',
              `${addressKey(shared)} belongs to the group ${other.name} already`,
              `use that group: GET /v1/redis/groups/${other.name}; or DELETE it first`,
            ),
          ];
    });
  const bySentinels = survey.surveyed.flatMap((one) =>
    one.groups
      .filter(({ view }) => view.group !== name && ids.has(identityOf(survey, view.primary)))
      .map(({ view }) =>
        refused(
          'known_under_other_name',
          `Sentinel ${addressKey(one)} watches these nodes under the name ${view.group}`,
          `PUT /v1/redis/groups/${view.group} instead; or SENTINEL REMOVE ${view.group} on each Sentinel that has it`,
        ),
      ),
  );
  return [...byManager, ...bySentinels.slice(0, 3)];
};

const sentinelProblems = (context: AdmissionInput, members: Members): readonly AdmissionProblem[] => {
  const { name, input, survey } = context;
  const { primary, nodes, sentinels, unaware } = members;
  const found: AdmissionProblem[] = [];
  if (sentinels.length === 0 && primary !== null) {
    const next = 'name Sentinels in sentinels (empty ones are told about the group), or PUT it with "kind": "single"';
    found.push(refused('no_sentinels', 'no Sentinel is named: nobody would fail the group over', next));
  }
  const answering = sentinels.filter(
    (at) => surveyedAt(survey, at)?.info !== null && surveyedAt(survey, at) !== undefined,
  );
  if (sentinels.length > 0 && 2 * answering.length <= sentinels.length) {
    const away = sentinels.filter((at) => !answering.includes(at)).map(addressKey);
    const detail = `only ${String(answering.length)} of ${String(sentinels.length)} Sentinels answer; without: ${away.join(', ')}`;
    found.push(
      refused(
        'sentinel_minority',
        detail,
        'start them, or take those that are gone for good out of the others: SENTINEL RESET',
      ),
    );
  }
  if (primary !== null && nodes.length < 2) {
    const at = addressKey(primary);
    const detail = `the group has one node, ${at}: there is nobody to fail over to`;
    const next = `start a replica (REPLICAOF ${primary.host} ${String(primary.port)}) and send it again, or PUT it with "kind": "single"`;
    found.push(refused('one_node_group', detail, next));
  }
  if (primary !== null && surveyedAt(survey, primary)?.info?.role !== 'primary') {
    const why = surveyedAt(survey, primary)?.failure?.detail ?? 'it does not say that it is one';
    const needed = input.manage === 'manage' && unaware.length > 0;
    const detail = `the primary ${addressKey(primary)} does not answer as one: ${why}`;
    const make = needed || !members.sentinels.some((at) => isAware(survey, at, name)) ? refused : warned;
    found.push(make('primary_away', detail, 'start it, or let the Sentinels that know the group fail over first'));
  }
  // Without a primary it is said already that nobody knows the group.
  if (unaware.length > 0 && primary !== null && input.manage === 'observe') {
    const list = unaware.map(addressKey).join(', ');
    const allUnaware = unaware.length === sentinels.length;
    const next = 'PUT it with "manage": "manage" and they are told; or SENTINEL MONITOR by hand';
    const make = allUnaware ? refused : warned;
    found.push(
      make('sentinel_unaware', `Sentinels that do not know ${name}: ${list}; an observed group is not changed`, next),
    );
  }
  return found;
};

const isAware = (survey: Survey, at: Address, name: string): boolean => {
  const one = surveyedAt(survey, at);
  return one !== undefined && knownAs(one, name) !== undefined;
};

const singleProblems = ({ survey }: AdmissionInput): readonly AdmissionProblem[] => {
  const seeds = distinct(
    survey,
    survey.surveyed.filter((one) => one.given === 'seed'),
  );
  const [seed] = seeds;
  if (seeds.length > 1) {
    const detail = `a group of kind single is one node; ${String(seeds.length)} were given`;
    return [refused('several_nodes', detail, 'give one seed, or PUT it with "kind": "sentinel" and Sentinels')];
  }
  if (seed?.info?.role !== 'replica') return [];
  const detail = `${addressKey(seed)} is a replica${seed.info.follows === null ? '' : ` of ${addressKey(seed.info.follows)}`}: it takes no writes`;
  return [refused('is_replica', detail, 'give its primary as the seed, or PUT it with "kind": "sentinel"')];
};
