// How is a group added, changed or removed on request? Asked and judged first; kept; Sentinels told if it is managed; then looked after.
import { ok, refuse, type RedisGroupInput, type Refusal, type Result } from '@switchyard/protocol';
import { addressKey, admit, seedOf, type Admission, type OtherGroup, type Survey } from '@switchyard/replication';
import type { Clock, Logger } from '@switchyard/runtime';
import { takeSurvey } from './group-admission-survey.ts';
import type { Groups } from './groups.ts';
import { notChangeable, sameInput, withChanges } from './groups-definition.ts';
import type { KeptGroup } from './groups-store.ts';
import { plannedSteps, provision, type Provisioning } from '../sentinels/provision.ts';

/** What was found out about a document, for people. */
export interface AdmissionReport {
  readonly admitted: boolean;
  readonly problems: readonly {
    readonly code: string;
    readonly weight: string;
    readonly detail: string;
    readonly next: string;
  }[];
  readonly primary: string | null;
  readonly nodes: readonly string[];
  readonly sentinels: readonly string[];
  /** What each Sentinel that needs it would be told; no secrets. */
  readonly provision: readonly { readonly sentinel: string; readonly commands: readonly string[] }[];
}

/** What came of a PUT. */
export interface GroupChange {
  readonly change: 'created' | 'changed' | 'unchanged' | 'none';
  readonly revision: number;
  /** Null when nothing had to be asked. */
  readonly admission: AdmissionReport | null;
  /** Null when nothing was to be told. */
  readonly provisioning: Provisioning | null;
}

/** A refusal with everything that was found out. */
export interface RefusedChange {
  readonly refusal: Refusal;
  readonly admission: AdmissionReport | null;
}

/** What a change works with. */
export interface ChangeSurroundings {
  readonly groups: Groups;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One PUT. */
export interface PutRequest {
  readonly name: string;
  readonly input: RedisGroupInput;
  readonly dryRun: boolean;
  /** The revision that it insists on; `existing`: any. */
  readonly ifMatch: number | 'existing' | undefined;
}

const refusedChange = (refusal: Refusal, admission: AdmissionReport | null = null): Result<never, RefusedChange> => ({
  ok: false,
  error: { refusal, admission },
});

/** Adds or changes a group. The same document again changes nothing and asks nobody. */
export const putGroup = async (
  surroundings: ChangeSurroundings,
  request: PutRequest,
): Promise<Result<GroupChange, RefusedChange>> => {
  const { groups } = surroundings;
  const { name, input, dryRun } = request;
  const matching = matches(groups, request);
  if (!matching.ok) return refusedChange(matching.error);
  const kept = groups.kept(name);
  const present = groups.get(name)?.definition.input;
  if (name === groups.ownName) return putOwn(surroundings, request);
  if (present !== undefined && sameInput(present, input)) {
    return ok({ change: 'unchanged', revision: kept?.revision ?? 0, admission: null, provisioning: null });
  }
  const { survey, admission } = await judge(surroundings, name, input);
  const report = reportOf(admission, { name, input, survey });
  if (dryRun) return ok({ change: 'none', revision: kept?.revision ?? 0, admission: report, provisioning: null });
  if (!admission.admitted) return refusedChange(refusalOf(name, admission), report);
  // Others may have changed something while everybody was asked.
  const guard = (): Result<null> => {
    const now = admit({ name, input, survey, others: othersOf(groups, name) });
    return now.admitted ? matches(groups, request) : { ok: false, error: refusalOf(name, now) };
  };
  const { sentinels, nodes } = admission.members;
  const put = await groups.put(name, { input, sentinels, nodes, guard });
  if (!put.ok) return refusedChange(put.error, report);
  // What Sentinels log in with cannot be read back: it is told again when it was changed.
  const renewAuth =
    kept !== undefined && (kept.input.password !== input.password || kept.input.username !== input.username);
  const provisioning =
    input.kind === 'sentinel' && input.manage === 'manage'
      ? await provision({ name, input, members: admission.members, survey, renewAuth, ...surroundings })
      : null;
  const change = kept === undefined ? 'created' : 'changed';
  return ok({ change, revision: put.value.revision, admission: report, provisioning });
};

/** Of the group of the settings a few things can be changed; where it is and its passwords come from the settings alone. */
const putOwn = async (
  { groups }: ChangeSurroundings,
  request: PutRequest,
): Promise<Result<GroupChange, RefusedChange>> => {
  const { name, input, dryRun } = request;
  const why = notChangeable(groups.own, input);
  if (why.length > 0) {
    const detail = `the group ${name} is the one of the settings: only manage, policy, bootLock, downAfter, failoverTimeout and quorum can be changed here`;
    const next = 'change SWITCHYARD_REDIS_* of all services and restart them, or leave those fields out';
    return refusedChange(refuse('conflict', detail, { why, next }).error);
  }
  const revision = groups.kept(name)?.revision ?? 0;
  const nothing = { revision, admission: null, provisioning: null };
  const wanted = withChanges(groups.own, input).input;
  const present = groups.get(name)?.definition.input ?? groups.own.input;
  if (sameInput(present, wanted)) return ok({ change: 'unchanged', ...nothing });
  if (dryRun) return ok({ change: 'none', ...nothing });
  // What its Sentinels differ in is mended by the part that watches them, as for any managed group.
  const guard = (): Result<null> => matches(groups, request);
  const put = await groups.put(name, { input: wanted, sentinels: [], nodes: [], guard });
  return put.ok ? ok({ change: 'changed', ...nothing, revision: put.value.revision }) : refusedChange(put.error);
};

/** Stops looking after a group. Its nodes and Sentinels stay as they are. */
export const removeGroup = async (
  { groups }: ChangeSurroundings,
  request: Pick<PutRequest, 'name' | 'ifMatch'>,
): Promise<Result<KeptGroup>> => {
  const { name } = request;
  if (name === groups.ownName) {
    return refuse('conflict', `the group ${name} is the one of the settings and cannot be removed`, {
      why: ['the control plane keeps its own catalog there'],
      next: 'PUT it with "manage": "observe" to leave it alone',
    });
  }
  const matching = matches(groups, request);
  return matching.ok ? groups.remove(name) : matching;
};

const matches = (groups: Groups, { name, ifMatch }: Pick<PutRequest, 'name' | 'ifMatch'>): Result<null> => {
  if (ifMatch === undefined) return ok(null);
  const revision = groups.kept(name)?.revision ?? (groups.get(name) === undefined ? undefined : 0);
  if (revision !== undefined && (ifMatch === 'existing' || ifMatch === revision)) return ok(null);
  const is = revision === undefined ? 'there is no such group' : `its revision is ${String(revision)}`;
  return refuse('revision_mismatch', `the group ${name} is not as If-Match insists: ${is}`);
};

const judge = async (
  { groups, clock, logger }: ChangeSurroundings,
  name: string,
  input: RedisGroupInput,
): Promise<{ readonly survey: Survey; readonly admission: Admission }> => {
  const survey = await takeSurvey({ name, input, clock, logger });
  return { survey, admission: admit({ name, input, survey, others: othersOf(groups, name) }) };
};

const othersOf = (groups: Groups, name: string): readonly OtherGroup[] =>
  groups
    .list()
    .filter(({ definition }) => definition.name !== name)
    .map(({ definition, tools }) => {
      const { nodes } = tools.observer.observe();
      return {
        name: definition.name,
        nodes: [...nodes, ...(groups.kept(definition.name)?.nodes ?? [])],
        runIds: nodes.flatMap(({ info }) => info?.runId ?? []),
      };
    });

const reportOf = (
  { admitted, problems, members }: Admission,
  planned: { readonly name: string; readonly input: RedisGroupInput; readonly survey: Survey },
): AdmissionReport => ({
  admitted,
  problems: problems.map(({ code, weight, detail, next }) => ({ code, weight, detail, next })),
  primary: members.primary === null ? null : seedOf(members.primary),
  nodes: members.nodes.map(seedOf),
  sentinels: members.sentinels.map(seedOf),
  provision: plannedSteps({ ...planned, members })
    .filter(({ steps }) => steps.length > 0)
    .map(({ at, steps }) => ({ sentinel: addressKey(at), commands: steps.map(({ shown }) => shown) })),
});

const refusalOf = (name: string, { problems }: Admission): Refusal => {
  const first = problems.find(({ weight }) => weight === 'refused');
  return refuse('conflict', `the group ${name} is not taken on: ${first?.detail ?? 'it was not admitted'}`, {
    why: problems.map(({ code, detail, next }) => `${code}: ${detail}; next: ${next}`),
    next: first?.next ?? 'read why',
  }).error;
};
