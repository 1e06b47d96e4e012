// How does a switchover go on? Look, decide, write down, act; until its machine has ended.
import { ok, refuse, type Result } from '@switchyard/protocol';
import {
  stepSwitchover,
  type Endpoint,
  type SwitchoverCommand,
  type SwitchoverInput,
  type SwitchoverState,
  type SwitchoverWait,
} from '@switchyard/replication';
import type { OperationRun } from '../redis-operations.ts';
import { carryOut } from './switchover-commands.ts';
import { createContacts } from './switchover-contacts.ts';
import { createEyes } from './switchover-eyes.ts';
import type { SwitchoverJournal } from './switchover-journal.ts';
import type { GroupTools } from '../group-part.ts';

/** What is driven, and by whom it is told. */
export interface Drive {
  readonly tools: GroupTools;
  readonly state: SwitchoverState;
  readonly sentinels: readonly Endpoint[];
  /** The process was started again since the state was written. */
  readonly resumed: boolean;
  readonly run: OperationRun;
  readonly journal: SwitchoverJournal;
  /** A step has begun and is written down. */
  readonly onWait: (waitsFor: SwitchoverWait) => void;
  /** Its first commands were answered, or their time has passed. */
  readonly onSent: (waitsFor: SwitchoverWait) => void;
}

const questionMs = 400;
/** Between two looks; nothing is waited for while a step has just been taken. */
const betweenMs = 15;
/** Far more than any course of the machine takes. */
const longestMs = 180_000;

/** Resolves with the last state. Rejects only when the course takes longer than three minutes. */
export const driveSwitchover = async (drive: Drive): Promise<SwitchoverState> => {
  const { tools, run, journal, sentinels } = drive;
  const { clock, logger } = tools;
  const contacts = createContacts(tools, questionMs);
  const eyes = createEyes({ plan: drive.state.plan, sentinels, contacts, clock });
  const startedMs = clock.monotonicMs();
  const inFlight = new Set<string>();
  let state = drive.state;
  let wake = new AbortController();

  const feed = (input: SwitchoverInput): readonly SwitchoverCommand[] => {
    const before = state;
    const step = stepSwitchover(state, input, clock.monotonicMs());
    state = step.state;
    if (state.promotionAsked && !before.promotionAsked) run.commit();
    return step.commands;
  };
  const send = async (command: SwitchoverCommand): Promise<void> => {
    if (inFlight.has(command.key)) return;
    inFlight.add(command.key);
    const answer = await carryOut(contacts, command);
    inFlight.delete(command.key);
    if (answer.outcome !== 'ok') {
      logger.info(
        { group: state.plan.group, operation: run.id, command: command.key, ...answer },
        'switchover.command',
      );
    }
    feed(answer);
    wake.abort();
  };
  const note = async (): Promise<void> => {
    const { waitsFor } = state;
    try {
      // What the next process has to know even after a power loss: that it began, and that the promotion is asked for.
      const durable = waitsFor === 'target-preferred' || waitsFor === 'promoted';
      await journal.append({ type: 'step', state, sentinels }, durable);
    } catch (error) {
      logger.error({ operation: run.id, err: error }, 'switchover.journal_failed');
      // What cannot be written down is not begun.
      feed({ type: 'cancel' });
    }
    drive.onWait(waitsFor);
  };

  try {
    if (drive.resumed) feed({ type: 'resume' });
    await note();
    let told = tell(run, drive.state.waitsFor, state);
    let isCancelled = false;
    while (state.waitsFor !== 'ended') {
      if (clock.monotonicMs() - startedMs > longestMs) throw new Error(`it still waits for ${state.waitsFor}`);
      if (run.signal.aborted && !isCancelled) {
        isCancelled = true;
        feed({ type: 'cancel' });
      }
      const look = await eyes.look(state.waitsFor);
      const before = state.waitsFor;
      wake = new AbortController();
      const commands = feed({ type: 'look', look });
      const sent = Promise.all(commands.map(send));
      if (commands.length > 0) void sent.then(() => drive.onSent(before));
      if (state.waitsFor !== told) {
        await note();
        told = tell(run, told, state);
        logger.info({ group: state.plan.group, operation: run.id, from: before, waitsFor: told }, 'switchover.step');
        continue;
      }
      await clock.sleep(betweenMs, wake.signal).catch(() => undefined);
    }
    return state;
  } finally {
    contacts.close();
  }
};

/** Tells the operation's document where it is. */
const tell = (run: OperationRun, before: SwitchoverWait, state: SwitchoverState): SwitchoverWait => {
  const { waitsFor, reason } = state;
  if (before !== waitsFor && before !== 'ended') {
    run.step(before, reason === null || waitsFor === 'ended' ? 'done' : 'failed', reason ?? undefined);
  }
  if (waitsFor !== 'ended') run.step(waitsFor, 'running');
  run.progress(percentOf(waitsFor));
  return waitsFor;
};

const percents: Readonly<Partial<Record<SwitchoverWait, number>>> = {
  'target-preferred': 10,
  'writes-paused': 20,
  'replicas-level': 30,
  'old-bounded': 35,
  promoted: 40,
  'old-fenced': 55,
  'writes-resumed': 65,
  'clients-moved': 70,
  'followers-moved': 75,
  named: 80,
  'settings-restored': 90,
  probed: 95,
  ended: 99,
};
const percentOf = (waitsFor: SwitchoverWait): number => percents[waitsFor] ?? 50;

/** What the operation ends with. */
export const resultOf = (state: SwitchoverState): Result<Readonly<Record<string, unknown>>> => {
  const { plan, outcome, heir, reason, notes } = state;
  const facts = switchoverFacts(state);
  if (outcome === 'switched') return ok(facts);
  if (outcome === 'superseded') {
    const detail = `${heir?.name ?? 'another node'} became primary of ${plan.group}, not by this switchover: ${reason ?? 'Sentinel acted by itself'}`;
    return refuse('conflict', detail, {
      why: [...notes, ...linesOf(facts)],
      next: 'look at the group before you try again',
    });
  }
  const cancelled = reason === 'it was cancelled';
  return refuse(
    cancelled ? 'cancelled' : 'timed_out',
    `${plan.from.name} is still primary of ${plan.group}; everything was taken back: ${reason ?? 'unknown'}`,
    {
      why: [...notes],
      next: cancelled ? 'nothing was changed' : 'mend what is named, then try again; dryRun shows all checks',
    },
  );
};

const switchoverFacts = (state: SwitchoverState): Readonly<Record<string, unknown>> => {
  const { plan, outcome, heir, heirAtMs, pausedAtMs, heirEpoch, level, fencedInTime, notes, left, asked } = state;
  const isCertain = level && fencedInTime;
  // Where the server itself holds the writers, from the moment it was told to hand over.
  const heldAtMs = pausedAtMs ?? asked['failover'] ?? null;
  return {
    outcome,
    way: plan.way,
    from: plan.from,
    to: heir ?? plan.to,
    epoch: heirEpoch,
    /** Between the pause of the writers and the first moment at which the new primary takes writes. */
    gapMs: heirAtMs === null || heldAtMs === null ? null : Math.round(heirAtMs - heldAtMs),
    lostWrites: {
      verdict: isCertain ? 'none' : 'possible',
      detail: isCertain
        ? `${plan.to.name} had every byte of ${plan.from.name}, which could not write from before the promotion until it was fenced`
        : whyPossible(state),
    },
    notes: [...notes],
    settingsLeft: left.map(({ at, name, value }) => `${at.name}: ${name} ${value}`),
  };
};

const whyPossible = ({ level, plan }: SwitchoverState): string =>
  level
    ? `${plan.from.name} was not seen to be fenced; what it took since the promotion is lost`
    : `it is not known whether ${plan.to.name} had every byte`;

const linesOf = (facts: Readonly<Record<string, unknown>>): readonly string[] => [
  `lost writes: ${JSON.stringify(facts['lostWrites'])}`,
];
