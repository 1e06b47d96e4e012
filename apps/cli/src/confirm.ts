// May it be done? Only after a clear yes of a person, or `--yes`; a program that cannot be asked is refused.
import type { CommandContext } from './command.ts';
import { exitCodes } from './exit-codes.ts';
import { Failure } from './failure.ts';

/** Resolves when it may be done. Rejects with a Failure: exit code 8 without anybody to ask, 1 after a no. */
export async function confirmed(
  { given, terminal, signal }: Pick<CommandContext, 'given' | 'terminal' | 'signal'>,
  question: string,
): Promise<void> {
  if (given.flag('yes')) return;
  if (!terminal.canAsk)
    throw new Failure('Nobody can be asked here, and this changes data.', {
      why: [question],
      next: 'Look at it with --dry-run, then add --yes.',
      exitCode: exitCodes.refused,
    });
  if (!(await terminal.confirm(question, signal))) throw new Failure('Nothing was changed.');
}
