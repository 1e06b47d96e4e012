// Which versions, quorums and clocks does a group bring along, and would they hurt?
import { parseDurationMs } from '@switchyard/protocol';
import { addressKey } from './address.ts';
import {
  advised,
  identityOf,
  isNode,
  isSentinel,
  refused,
  surveyedAt,
  warned,
  type AdmissionInput,
  type AdmissionProblem,
  type Members,
} from './admission-survey.ts';

/** A clock that differs more makes times in logs and histories misleading. */
const largestClockOffsetMs = 30_000;
/** Our own clock moved by so much while we asked: what it says about others is worth nothing. */
const largestStepMs = 1_000;

/** Everything that is not about who belongs together. */
export const settingAdvice = (context: AdmissionInput, members: Members): readonly AdmissionProblem[] => [
  ...versionProblems(context, members),
  ...(context.input.kind === 'sentinel' ? quorumProblems(context, members) : []),
  ...timingProblems(context),
  ...clockProblems(context),
];

/** `7.0.15` -> [7, 0, 15]; null when it is none. */
const versionOf = (text: string | null): readonly number[] | null =>
  text !== null && /^\d+(\.\d+)*$/.test(text) ? text.split('.').map(Number) : null;

const compare = (a: readonly number[], b: readonly number[], parts: number): number => {
  for (let at = 0; at < parts; at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

const versionProblems = (
  { input, survey }: AdmissionInput,
  { primary, nodes }: Members,
): readonly AdmissionProblem[] => {
  const head = primary === null ? undefined : surveyedAt(survey, primary);
  const ahead = versionOf(head?.info?.version ?? null);
  if (head === undefined || ahead === null || input.kind === 'cluster') return [];
  const others = nodes.flatMap((at) => {
    const one = surveyedAt(survey, at);
    const version = versionOf(one?.info?.version ?? null);
    return one === undefined || version === null || one === head ? [] : [{ at: addressKey(at), version }];
  });
  const older = others.filter(({ version }) => compare(version, ahead, 2) < 0);
  const mixed = others.filter(({ version }) => compare(version, ahead, 3) !== 0);
  const list = (some: typeof others): string => some.map(({ at, version }) => `${at} ${version.join('.')}`).join(', ');
  const is = `the primary ${addressKey(head)} runs ${ahead.join('.')}`;
  if (older.length > 0) {
    // It may not understand what an newer primary writes; that it works now says nothing about the next full copy.
    const make = input.manage === 'manage' ? refused : warned;
    return [
      make(
        'replica_older',
        `${is}, and these replicas are older: ${list(older)}`,
        'upgrade the replicas first, the primary last',
      ),
    ];
  }
  return mixed.length === 0
    ? []
    : [
        advised(
          'version_mix',
          `${is}, others ${list(mixed)}`,
          'fine during an upgrade; finish it, so that any node can follow any other',
        ),
      ];
};

const quorumProblems = ({ input, survey }: AdmissionInput, { sentinels }: Members): readonly AdmissionProblem[] => {
  const count = sentinels.length;
  if (count === 0) return [];
  const majority = Math.floor(count / 2) + 1;
  const found: AdmissionProblem[] = [];
  const { quorum } = input;
  if (quorum !== undefined && quorum > count) {
    const detail = `a quorum of ${String(quorum)} can never be reached by ${String(count)} Sentinels`;
    found.push(
      refused('impossible_quorum', detail, `give ${String(majority)} or less, or leave it out, or add Sentinels`),
    );
  } else if (quorum !== undefined && quorum < majority) {
    const detail = `with quorum ${String(quorum)} fewer than half of the Sentinels start failovers that a majority must then agree to`;
    found.push(advised('quorum_below_majority', detail, `use ${String(majority)}`));
  }
  const hosts = new Set(sentinels.map(({ host }) => host));
  const nodesAnswering = survey.surveyed.some((one) => isNode(one));
  if (count === 1) {
    const next = 'add two more on other machines';
    found.push(advised('one_sentinel', 'one Sentinel alone: when it is away, nothing is mended', next));
  } else if (count === 2) {
    const detail = 'two Sentinels need each other: with either away, nothing is mended';
    found.push(advised('two_sentinels', detail, 'add a third one, on a third machine if there is one'));
  } else if (count % 2 === 0) {
    const detail = `${String(count)} Sentinels bear no more failures than ${String(count - 1)}`;
    found.push(advised('even_sentinels', detail, 'add one, or take one out'));
  }
  if (nodesAnswering && count > 1 && hosts.size === 2) {
    const detail = `the Sentinels are on two machines: the loss of the one with more of them leaves no majority`;
    found.push(
      advised(
        'two_hosts_no_witness',
        detail,
        'run one Sentinel on a third machine, however small; until then failovers may need POST .../failover',
      ),
    );
  }
  return found;
};

const timingProblems = ({ name, input, survey }: AdmissionInput): readonly AdmissionProblem[] => {
  const downAfterMs = parseDurationMs(input.downAfter ?? '') ?? null;
  const timeoutMs = parseDurationMs(input.failoverTimeout ?? '') ?? null;
  const found: AdmissionProblem[] = [];
  if (downAfterMs !== null && timeoutMs !== null && timeoutMs < 3 * downAfterMs) {
    const detail = `failoverTimeout ${String(timeoutMs)} ms is short for downAfter ${String(downAfterMs)} ms: attempts are given up before they can end`;
    found.push(advised('short_failover_timeout', detail, `give ${String(3 * downAfterMs)}ms or more`));
  }
  for (const one of survey.surveyed.filter(isSentinel)) {
    const view = one.groups.find(({ view: known }) => known.group === name)?.view;
    if (
      view?.downAfterMs !== null &&
      view?.downAfterMs !== undefined &&
      view.downAfterMs < 500 &&
      downAfterMs === null
    ) {
      const detail = `Sentinel ${addressKey(one)} has down-after ${String(view.downAfterMs)} ms: a busy moment counts as a death`;
      found.push(
        advised('down_after_too_short', detail, 'give downAfter of 500ms or more with manage, or SENTINEL SET it'),
      );
    }
  }
  return found;
};

const clockProblems = ({ survey }: AdmissionInput): readonly AdmissionProblem[] => {
  if (Math.abs(survey.clockStepMs) > largestStepMs) {
    const detail = `the clock of this process stepped by ${String(Math.round(survey.clockStepMs))} ms while the nodes were asked`;
    return [
      advised(
        'clock_stepped',
        detail,
        'let the clock slew (chrony, ntpd -x); nothing here depends on it, but times in histories do',
      ),
    ];
  }
  const seen = new Set<string>();
  return survey.surveyed.flatMap((one) => {
    const id = identityOf(survey, one);
    if (one.clockOffsetMs === null || Math.abs(one.clockOffsetMs) <= largestClockOffsetMs || seen.has(id)) return [];
    seen.add(id);
    const way = one.clockOffsetMs > 0 ? 'ahead of' : 'behind';
    const detail = `the clock of ${addressKey(one)} is ${String(Math.round(Math.abs(one.clockOffsetMs) / 1_000))} s ${way} this process's`;
    return [advised('clock_differs', detail, 'let both keep time with NTP: expiries move by as much at a failover')];
  });
};
