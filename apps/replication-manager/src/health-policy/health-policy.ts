// What will hurt this group one day? The part that gathers what the health policy is judged by, and adds its problems to the view.
import {
  defaultLimits,
  healthProblems,
  isSeen,
  settingsAdvice,
  stepWriteRate,
  usualAllowedOutageMs,
  type HealthInput,
  type HealthProblem,
  type NodeMachine,
  type SettingAdvice,
  type WriteRate,
} from '@switchyard/replication';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';
import { readMachine } from './health-policy-machine.ts';

/** The part, and what it knows by now. */
export interface HealthPolicy extends GroupPart {
  /** By the latest look; nodes that are unreachable are not in it. */
  input(): HealthInput;
  rate(): WriteRate | null;
  advice(): readonly SettingAdvice[];
}

/** Judged so often; who looks sees the same list for so long. */
const judgeEveryMs = 1_000;
const machineEveryMs = 30_000;

/** The health policy of one group. Changes nothing. */
export const createHealthPolicy = (tools: GroupTools): HealthPolicy => {
  const { definition, clock } = tools;
  const machines = new Map<string, { readonly readAtMs: number; readonly facts: NodeMachine | null }>();
  let rate: WriteRate | null = null;
  let problems: readonly HealthProblem[] = [];
  let judgedAtMs = -Infinity;

  const readMachines = ({ observation, nowMs }: GroupLook): void => {
    for (const name of machines.keys())
      if (!observation.nodes.some((node) => node.name === name)) machines.delete(name);
    for (const { name, host, config } of observation.nodes) {
      const before = machines.get(name);
      const dir = config?.['dir'];
      if (dir === undefined || nowMs - (before?.readAtMs ?? -Infinity) < machineEveryMs) continue;
      machines.set(name, { readAtMs: nowMs, facts: before?.facts ?? null });
      void readMachine(host, dir).then((facts) => machines.set(name, { readAtMs: nowMs, facts }));
    }
  };

  const inputOf = ({ observation, nowMs }: Pick<GroupLook, 'observation' | 'nowMs'>): HealthInput => ({
    nodes: observation.nodes.flatMap((node) => {
      if (node.info === null || !isSeen(node, nowMs, defaultLimits.staleAfterMs)) return [];
      const { name, host, port, vitals = null, config: settings = null } = node;
      const { role, version } = node.info;
      return [{ name, host, port, role, version, vitals, settings, machine: machines.get(name)?.facts ?? null }];
    }),
    peakBytesPerSecond: rate?.peakBytesPerSecond ?? null,
    downAfterMs: observation.sentinels.map(({ view }) => view?.downAfterMs ?? null).find((ms) => ms !== null) ?? null,
    policy: definition.input.policy,
    allowedOutageMs: usualAllowedOutageMs,
  });

  const input = (): HealthInput => inputOf({ observation: tools.observer.observe(), nowMs: clock.monotonicMs() });

  return {
    name: 'health-policy',
    look(look) {
      const { observation, verdict, nowMs } = look;
      const primary = observation.nodes.find(
        (node) =>
          node.host === verdict.named?.host && node.port === verdict.named.port && node.info?.role === 'primary',
      );
      if (primary !== undefined && primary.info !== null) rate = stepWriteRate(rate, primary.info, nowMs);
      readMachines(look);
      if (nowMs - judgedAtMs < judgeEveryMs) return;
      judgedAtMs = nowMs;
      problems = healthProblems(inputOf(look), new Set(problems.map(({ key }) => key)));
    },
    findings: () => ({
      problems: problems.map((problem) => ({ ...problem, next: problem.next.replace('{group}', definition.name) })),
      nodes: [],
    }),
    input,
    rate: () => rate,
    advice: () => settingsAdvice(input()),
  };
};
