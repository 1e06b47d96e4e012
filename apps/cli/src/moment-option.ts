// Which moment does `--to` name? `time:`, `offset:`, `label:` or `before:` and a value; or a time or a label as they are.
import { restoreTargetSchema, type RestoreTarget } from '@switchyard/protocol';
import { usageFailure } from './failure.ts';

/** For the help of every command that takes one. */
export const momentDoc =
  'now, -5m, 2026-01-02T03:04:05Z, unix ms; LABEL; offset:N[@TIMELINE]; before:COMMAND[@TIME], as in before:FLUSHALL';

const advice = 'Write it as -5m, 2026-01-02T03:04:05Z, before:FLUSHALL, offset:12345 or label:LABEL.';
const labelLike = /^\d{8}T\d{6}\.\d{3}Z-/;

/** The target of a restore. Throws a usage Failure. */
export function parseMomentOption(text: string | undefined): RestoreTarget {
  if (text === undefined) throw usageFailure('--to is missing: it says which moment.', advice);
  const parsed = restoreTargetSchema.safeParse(targetOf(text.trim()));
  if (parsed.success) return parsed.data;
  throw usageFailure(`--to ${text} names no moment.`, advice);
}

/** The `--to` that names a target, as it can be copied into a command line. */
export function momentText(target: RestoreTarget): string {
  if ('time' in target) return target.time;
  if ('label' in target) return `label:${target.label}`;
  if ('offset' in target) return `offset:${target.offset}${target.timeline === undefined ? '' : `@${target.timeline}`}`;
  return `before:${target.before}${target.at === undefined ? '' : `@${target.at}`}`;
}

function targetOf(text: string): unknown {
  const colon = /^(time|offset|label|before):(.*)$/.exec(text);
  if (colon === null) return labelLike.test(text) ? { label: text } : { time: text };
  const [, kind, value = ''] = colon;
  if (kind === 'time') return { time: value };
  if (kind === 'label') return { label: value };
  const at = value.indexOf('@');
  const [name, rest] = at < 0 ? [value, undefined] : [value.slice(0, at), value.slice(at + 1)];
  if (kind === 'before') return { before: name, ...(rest === undefined ? {} : { at: rest }) };
  return { offset: /^\d+$/.test(name) ? Number(name) : Number.NaN, ...(rest === undefined ? {} : { timeline: rest }) };
}
