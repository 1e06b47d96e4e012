// How does a script know how it went? One number for each kind of outcome, the same for all commands.
import type { ErrorCode, Problem } from '@switchyard/protocol';

/** Exit codes of the command line; they never change their meaning. */
export const exitCodes = Object.freeze({
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  degraded: 5,
  auth: 6,
  timeout: 7,
  refused: 8,
  interrupted: 130,
});

/** One of the exit codes. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const byCode: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  refused_for_safety: exitCodes.refused,
  invalid_input: exitCodes.usage,
  timed_out: exitCodes.timeout,
};

/** The exit code for a problem that the API told. */
export function exitCodeOf({ code, status }: Pick<Problem, 'code' | 'status'>): ExitCode {
  const known = byCode[code as ErrorCode];
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return exitCodes.auth;
  if (status === 404) return exitCodes.notFound;
  if (status === 409 || status === 412) return code === 'cancelled' ? exitCodes.failed : exitCodes.conflict;
  if (status === 503) return exitCodes.degraded;
  return status === 504 ? exitCodes.timeout : exitCodes.failed;
}
