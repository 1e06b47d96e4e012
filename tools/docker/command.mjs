// How do the container tools run a program? With a deadline, and with its output as the error when it fails.
import { runCommand, tail } from '../dev/run-command.mjs';

/** The test cannot be done on this machine; `message` says why, in words for a person. */
export class Unavailable extends Error {}

/** Resolves with the output; rejects with its last lines when the program fails or takes longer than `timeoutMs`. */
export async function run(words, { env, cwd, timeoutMs = 30_000 } = {}) {
  const { code, output } = await attempt(words, { env, cwd, timeoutMs });
  if (code !== 0) throw new Error(`\`${words.join(' ')}\` failed (${code}):\n${tail(output, 20)}`);
  return output;
}

/** Resolves with `{ code, output }`, never rejects; a deadline that passes has a code other than 0. */
export function attempt([command, ...words], { env, cwd, timeoutMs = 30_000 } = {}) {
  return runCommand(command, words, { env, cwd, signal: AbortSignal.timeout(timeoutMs) });
}
