// Do all that were named belong to one group, and who is its primary? By what they say of themselves, never by their order.
import { addressKey, sameAddress, type Address } from './address.ts';
import {
  distinct,
  identityOf,
  isNode,
  isSentinel,
  knownAs,
  refused,
  surveyedAt,
  type AdmissionInput,
  type AdmissionProblem,
  type Survey,
  type Surveyed,
} from './admission-survey.ts';

/** A primary, and who led to it. */
export interface Root extends Address {
  readonly id: string;
  /** Seeds that are it, follow it, or name it. */
  readonly from: readonly Surveyed[];
}

/** Who is primary by state; null with at least one problem. */
export interface Roots {
  readonly primary: Root | null;
  readonly problems: readonly AdmissionProblem[];
}

/** A chain of replicas is not longer. */
const longestChain = 8;

/** The primary that a node leads to: itself, or the end of the chain that it follows. */
const rootOf = (survey: Survey, node: Surveyed): Address => {
  let at: Address = node;
  for (let step = 0; step < longestChain; step += 1) {
    const follows = surveyedAt(survey, at)?.info?.follows ?? null;
    if (follows === null) return at;
    at = follows;
  }
  return at;
};

/** Finds the one primary that all seeds lead to. */
export const rootsOf = ({ name, survey }: AdmissionInput): Roots => {
  const seeds = distinct(
    survey,
    survey.surveyed.filter((one) => one.given !== null && one.info !== null),
  );
  const roots = new Map<string, Root>();
  const lead = (at: Address, from: Surveyed): void => {
    const id = identityOf(survey, at);
    const before = roots.get(id);
    roots.set(id, {
      host: before?.host ?? at.host,
      port: before?.port ?? at.port,
      id,
      from: [...(before?.from ?? []), from],
    });
  };
  for (const seed of seeds) {
    if (isNode(seed)) lead(rootOf(survey, seed), seed);
    const listed = isSentinel(seed) ? knownAs(seed, name) : undefined;
    if (listed !== undefined) lead(listed.view.primary, seed);
  }
  const found = [...roots.values()];
  const [only, another] = found;
  if (only === undefined) return { primary: null, problems: [nothingFound(name, seeds)] };
  if (another === undefined) {
    // What replicas follow is the address under which they reach it; the one in the document may be another.
    return { primary: { ...only, ...followedAddress(survey, only) }, problems: [] };
  }
  return { primary: null, problems: [severalProblem(survey, found, name)] };
};

const followedAddress = (survey: Survey, root: Root): Address => {
  const counts = new Map<string, { readonly at: Address; readonly count: number }>();
  for (const { info } of survey.surveyed) {
    const at = info?.follows ?? null;
    if (at === null || identityOf(survey, at) !== root.id) continue;
    counts.set(addressKey(at), { at, count: (counts.get(addressKey(at))?.count ?? 0) + 1 });
  }
  const best = [...counts.values()].sort((a, b) => b.count - a.count)[0];
  return best?.at ?? { host: root.host, port: root.port };
};

const nothingFound = (name: string, seeds: readonly Surveyed[]): AdmissionProblem => {
  const names = [...new Set(seeds.flatMap((seed) => seed.groups.map(({ view }) => view.group)))];
  const known = names.length === 0 ? 'they know none' : `they know ${names.slice(0, 10).join(', ')}`;
  return seeds.length === 0
    ? refused('nobody_answers', 'none of the addresses answers as a Redis', 'mend what is listed, then send it again')
    : refused(
        'group_unknown',
        `the Sentinels do not know a group named ${name}: ${known}`,
        'use the name that they use, or add a node of the group to seeds so that they can be told',
      );
};

const severalProblem = (survey: Survey, roots: readonly Root[], name: string): AdmissionProblem => {
  const primaries = roots.filter((root) => root.from.some((one) => isNode(one) && sameAddress(one, root)));
  const words = roots.map((root) => describe(survey, root, name)).join('; ');
  if (primaries.length >= 2) {
    const idle = primaries.find((root) =>
      survey.surveyed.every(({ info }) => !sameAddress(info?.follows ?? null, root)),
    );
    const kept = primaries.find((root) => root !== idle);
    const next =
      idle === undefined || kept === undefined
        ? 'give each group a PUT of its own with its own seeds'
        : `nobody follows ${addressKey(idle)}: if it belongs here, REPLICAOF ${kept.host} ${String(kept.port)} there (its data goes); if not, leave it out`;
    return refused('two_primaries', `there are two primaries among the seeds: ${words}`, next);
  }
  const bySentinels = roots.every((root) => root.from.every(isSentinel));
  if (bySentinels) {
    const next = 'give Sentinels of one group only; or wait if a failover is under way';
    return refused('two_groups', `the Sentinels name different primaries: ${words}`, next);
  }
  const [home, foreign] = [...roots].sort((a, b) => weightOf(b, primaries) - weightOf(a, primaries));
  const strays = (foreign?.from ?? []).map(addressKey).join(', ');
  return refused(
    'foreign_primary',
    `the seeds belong to two groups: ${words}`,
    `leave out ${strays}, or make it follow ${home === undefined ? 'the other primary' : addressKey(home)} if it belongs here`,
  );
};

const weightOf = (root: Root, primaries: readonly Root[]): number =>
  root.from.length + (primaries.includes(root) ? 100 : 0);

const describe = (survey: Survey, root: Root, name: string): string => {
  const at = addressKey(root);
  const says = root.from.map((one) => {
    if (isSentinel(one)) return `Sentinel ${addressKey(one)} names it for ${name}`;
    return sameAddress(one, root) ? 'it says so itself' : `${addressKey(one)} follows it`;
  });
  const offset = surveyedAt(survey, root)?.info?.offset;
  return `${at} (${says.slice(0, 4).join(', ')}${offset === null || offset === undefined ? '' : `, offset ${String(offset)}`})`;
};
