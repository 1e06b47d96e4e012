// Why did a throw-away server end by itself while it loaded? It has found damage, unless it says that the data is from a newer version
// or was killed from outside.
import { RefusalError, type Refusal } from '@switchyard/protocol';
import { textOf } from '../system-error.ts';

/** How a process ended. */
export interface ScratchEnd {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
}

/** `backup_corrupt` when the data is at fault; `backup_failed` or `not_restorable` for everything else. */
export function whyItEnded(end: ScratchEnd, output: string): Refusal {
  const tooNew = /Can't handle RDB format version \d+/.exec(output);
  if (tooNew !== null)
    return {
      code: 'not_restorable',
      detail: 'The throw-away server is older than the data.',
      why: [tooNew[0]],
      next: 'Set SWITCHYARD_REDIS_SERVER to a redis-server at least as new as the source.',
    };
  const module = /module data I can't load: no matching module (?:type )?'?([\w.-]{1,40})/i.exec(output);
  if (module !== null)
    return {
      code: 'not_restorable',
      detail: 'The throw-away server lacks a module that the data needs.',
      why: [module[0]],
      next: 'Set SWITCHYARD_REDIS_SERVER to a server that loads the modules of the source.',
    };
  const reason = lastReason(output);
  if (end.killedBy !== null && end.killedBy !== 'SIGABRT' && end.killedBy !== 'SIGSEGV')
    return {
      code: 'backup_failed',
      detail: `The throw-away server was killed by ${end.killedBy} while it loaded the data.`,
      why: reason === undefined ? [] : [reason],
      next: 'Look at the memory of this machine: loading needs as much as the source uses.',
    };
  const why = reason ?? `it ended with ${end.killedBy ?? `code ${end.code}`}`;
  return { code: 'backup_corrupt', detail: `A server could not load it: ${why}.`, why: [why] };
}

/** `command` cannot be run at all. */
export function noServer(command: string, cause: unknown): RefusalError {
  return new RefusalError(
    {
      code: 'backup_failed',
      detail: `${command} cannot be run, so no backup could be proven by loading it.`,
      why: [textOf(cause)],
      next: 'Install redis-server 7 or newer, or set SWITCHYARD_REDIS_SERVER to it.',
    },
    { cause },
  );
}

function lastReason(output: string): string | undefined {
  const lines = output.split('\n').filter((line) => /rdb|corrupt|checksum|short read|bad|fatal|oom/i.test(line));
  return lines
    .map((line) =>
      line
        .replace(/^\d+:\w \d+ \w+ \d+ [\d:.]+ [.\-*#] /, '')
        .trim()
        .slice(0, 200),
    )
    .findLast((line) => line !== '');
}
