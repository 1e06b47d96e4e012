// Why does a command end without what was wanted? What, why, what next; and the exit code.
import type { Problem } from '@switchyard/protocol';
import { exitCodeOf, exitCodes, type ExitCode } from './exit-codes.ts';

/** Ends a command; told to the person as it is. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly why: readonly string[];
  readonly next: string | undefined;
  readonly exitCode: ExitCode;
  /** The problem document where there is one, for `-o json`. */
  readonly problem: Problem | undefined;

  constructor(
    message: string,
    more: {
      readonly why?: readonly string[];
      readonly next?: string;
      readonly exitCode?: ExitCode;
      readonly problem?: Problem;
    } = {},
  ) {
    super(message);
    this.why = more.why ?? [];
    this.next = more.next;
    this.exitCode = more.exitCode ?? exitCodes.failed;
    this.problem = more.problem;
  }
}

/** The failure that a problem document tells. */
export function failureOf(problem: Problem): Failure {
  const { detail, why, next } = problem;
  return new Failure(detail, { why, next, exitCode: exitCodeOf(problem), problem });
}

/** A command that was not understood. */
export function usageFailure(message: string, next: string): Failure {
  return new Failure(message, { next, exitCode: exitCodes.usage });
}
