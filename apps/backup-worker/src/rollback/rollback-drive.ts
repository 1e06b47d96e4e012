// How does a rollback go on? Look, decide, write down, act; until its machine has ended. Looks at the primary are a few ms apart.
import {
  stepRollback,
  type RollbackCommand,
  type RollbackInput,
  type RollbackState,
  type RollbackWork,
} from '@switchyard/backup';
import type { Clock, Logger } from '@switchyard/runtime';
import { OtherProcessError, type GroupContacts } from './group-contacts.ts';
import { createGroupEyes } from './group-look.ts';
import type { ServedData } from './served-data.ts';

type Answer = Omit<Extract<RollbackInput, { readonly type: 'answer' }>, 'type' | 'key'>;

/** What is driven, and by whom it is told. */
export interface RollbackDrive {
  readonly state: RollbackState;
  /** The process was started again since the state was written. */
  readonly resumed: boolean;
  readonly contacts: GroupContacts;
  readonly served: ServedData;
  /** Carries out what no node can do. Rejects when it is not known whether it was done. */
  readonly work: (work: RollbackWork) => Promise<Answer>;
  /** Resolves when the next process would know it. */
  readonly write: (state: RollbackState) => Promise<void>;
  /** A step has begun and is written down, or will be; nothing of it was done yet. May hold it up. */
  readonly onStep: (state: RollbackState) => void | Promise<void>;
  /** Aborted = cancel, as far as that is possible. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

const betweenMs = 4;
const calmMs = 40;
const orderDeadlineMs = 900;
/** What is written down at least so often shows that somebody is at work. */
const beatMs = 2_500;
/** Steps in which milliseconds count. */
const hurried: ReadonlySet<RollbackState['waitsFor']> = new Set([
  'writes-paused',
  'point-sealed',
  'data-taken',
  'data-proven',
  'promoted',
  'writes-resumed',
  'safety-taken',
  'safety-proven',
  'role-returned',
  'writes-released',
]);

/** Resolves with the last state; never gives up before its machine does. Rejects only for defects. */
export async function driveRollback(drive: RollbackDrive): Promise<RollbackState> {
  const { contacts, served, clock, logger } = drive;
  const { plan } = drive.state;
  const eyes = createGroupEyes({ plan, contacts, clock });
  const inFlight = new Set<string>();
  let state = drive.state;
  let wake = new AbortController();
  let written: RollbackState | null = null;
  let writtenMs = clock.monotonicMs();
  let writing: Promise<void> = Promise.resolve();
  let told: RollbackState['waitsFor'] | null = null;
  let isCancelled = false;

  const feed = (input: RollbackInput): readonly RollbackCommand[] => {
    const step = stepRollback(state, input, clock.monotonicMs());
    state = step.state;
    return step.commands;
  };
  const note = async (): Promise<void> => {
    const noted = state;
    written = noted;
    writtenMs = clock.monotonicMs();
    writing = writing
      .then(async () => drive.write(noted))
      .catch((error: unknown) => {
        logger.error({ operation: plan.id, err: error }, 'rollback.journal_failed');
        feed({ type: 'journal-lost', detail: error instanceof Error ? error.message : String(error) });
      });
    if (mustBeKnown(noted)) await writing;
  };
  const send = async (command: RollbackCommand): Promise<void> => {
    if (inFlight.has(command.key)) return;
    inFlight.add(command.key);
    const answer = await carryOut(drive, command);
    inFlight.delete(command.key);
    if (answer.outcome !== 'ok')
      logger.info({ group: plan.group, operation: plan.id, command: command.key, ...answer }, 'rollback.command');
    feed({ type: 'answer', key: command.key, ...answer });
    wake.abort();
  };

  if (drive.resumed) feed({ type: 'resume' });
  for (;;) {
    if (isNews(written, state)) await note();
    if (told !== state.waitsFor) {
      const { waitsFor, reason } = state;
      logger.info({ group: plan.group, operation: plan.id, waitsFor, reason }, 'rollback.step');
      told = waitsFor;
      await drive.onStep(state);
    }
    if (state.waitsFor === 'ended') break;
    if (drive.signal.aborted && !isCancelled) {
      isCancelled = true;
      feed({ type: 'cancel' });
    }
    if (clock.monotonicMs() - writtenMs > beatMs) void note();
    wake = new AbortController();
    const isLastMoment = state.waitsFor === 'data-taken' && state.answered['demote'] === undefined;
    const look = await eyes.look(served.progress(), isLastMoment || !hurried.has(state.waitsFor));
    const before = state;
    const commands = feed({ type: 'look', look });
    // What is to be known by the next process is written down before it is done.
    if (isNews(before, state) && isNews(written, state)) await note();
    for (const command of commands) void send(command);
    if (before.waitsFor !== state.waitsFor) continue;
    await clock.sleep(hurried.has(state.waitsFor) ? betweenMs : calmMs, wake.signal).catch(() => undefined);
  }
  await writing;
  return state;
}

/** A new step, or a fact that decides what the next process does. */
function isNews(written: RollbackState | null, state: RollbackState): boolean {
  return (
    written === null ||
    written.waitsFor !== state.waitsFor ||
    written.takeAsked !== state.takeAsked ||
    written.promotionAsked !== state.promotionAsked ||
    written.ours.length !== state.ours.length ||
    written.outcome !== state.outcome
  );
}

/** Nothing goes on before this is written. */
function mustBeKnown({ waitsFor, takeAsked, served }: RollbackState): boolean {
  if (waitsFor === 'data-taken') return takeAsked && served !== null;
  return ['guards-raised', 'promoted', 'safety-taken', 'heir-known', 'ended'].includes(waitsFor);
}

async function carryOut(drive: RollbackDrive, command: RollbackCommand): Promise<Answer> {
  const { contacts } = drive;
  try {
    if (command.to === 'driver') return await drive.work(command.work);
    const { at, words } = command;
    if (command.to === 'sentinel') await contacts.sentinel(at, words, { deadlineMs: orderDeadlineMs });
    else await contacts.node(at, words, { deadlineMs: orderDeadlineMs, runId: command.runId });
    return { outcome: 'ok', detail: '' };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const isSaid = error instanceof OtherProcessError || (error instanceof Error && error.name === 'ErrorReply');
    // A node that loads answers nothing yet.
    return { outcome: isSaid && !/^(LOADING|BUSY)/.test(detail) ? 'refused' : 'lost', detail };
  }
}
