// `backup rollback`: the running group goes back to a moment. What that does is shown first; at the end, how it is undone.
import { dataDiffSchema, restorePointSchema, type Operation, type RestoreTarget } from '@switchyard/protocol';
import { z } from 'zod';
import type { Command } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure, usageFailure } from '../failure.ts';
import { carryOut, succeeded } from '../follow-operation.ts';
import { momentDoc, parseMomentOption } from '../moment-option.ts';
import { msText, timeText } from '../words.ts';
import { groupOf, groupOption, noWaitOption, yesOption } from './backup-options.ts';
import { operationTable } from './ops.ts';

const checkSchema = z.looseObject({
  name: z.string(),
  ok: z.boolean().nullable(),
  detail: z.string(),
  next: z.string(),
  blocking: z.boolean(),
});
/** What a rollback, or its dry run, tells; a part of it where it ended early. */
const resultSchema = z.looseObject({
  state: z.string().optional(),
  point: restorePointSchema.optional(),
  diff: dataDiffSchema.optional(),
  warnings: z.array(z.string()).default([]),
  checks: z.array(checkSchema).default([]),
  allowed: z.boolean().optional(),
  safetyPoint: z.looseObject({ label: z.string(), at: z.string() }).nullable().default(null),
  undo: z.looseObject({ command: z.string() }).nullable().default(null),
  unavailable: z
    .looseObject({ writesMs: z.number().nullable(), readsMs: z.number().nullable() })
    .nullable()
    .default(null),
  notes: z.array(z.string()).default([]),
});
type Result = z.infer<typeof resultSchema>;

/** The command. */
export const rollbackCommand: Command = {
  words: ['backup', 'rollback'],
  summary: 'Brings the running group back to a moment; shows first what that would do',
  options: {
    group: groupOption,
    to: { type: 'string', value: 'MOMENT', doc: momentDoc },
    match: { type: 'string', value: 'GLOB', doc: "only these keys, while the group goes on: 'cart:*'" },
    diff: { type: 'string', value: 'HOW', doc: 'compare all keys, or only counts. all, up to a million keys' },
    reason: { type: 'string', value: 'TEXT', doc: 'is kept with the operation' },
    yes: yesOption,
    'dry-run': { type: 'boolean', doc: 'only tell what it would do and whether it may be done; nothing is touched' },
    'no-wait': noWaitOption,
  },
  examples: [
    'switchyard backup rollback --to before:FLUSHALL',
    'switchyard backup rollback --to -5m --dry-run',
    "switchyard backup rollback --to -1h --match 'cart:*'",
  ],
  run: async (context) => {
    const { given, output, terminal } = context;
    const group = groupOf(context);
    const diff = given.text('diff');
    if (diff !== undefined && diff !== 'all' && diff !== 'counts')
      throw usageFailure(`--diff ${diff} is not known.`, 'Choose all or counts.');
    const [match, reason] = [given.text('match'), given.text('reason')];
    const more = {
      ...(match === undefined ? {} : { match }),
      ...(diff === undefined ? {} : { diff }),
      ...(reason === undefined ? {} : { reason }),
    };
    const wanted = parseMomentOption(given.text('to'));
    const isAsked = !given.flag('yes');
    let to = wanted;
    if (given.flag('dry-run') || isAsked) {
      if (!given.flag('dry-run') && !terminal.canAsk)
        await confirmed(context, `Bring ${group} back, and lose what came after?`);
      const follow = {
        ...context,
        given: { ...given, flag: (name: string) => name !== 'no-wait' && given.flag(name) },
      };
      const planned = await carryOut(follow, { path: '/v1/rollbacks', body: { group, to, dryRun: true, ...more } });
      const plan = resultOf(succeeded(planned));
      if (given.flag('dry-run')) {
        output.print(planned, () => planText(plan));
        if (plan.allowed === false) throw blocked(plan);
        return exitCodes.ok;
      }
      terminal.note(planText(plan).trimEnd());
      if (plan.allowed === false) throw blocked(plan);
      await confirmed(context, `Bring ${group} back to that moment?`);
      to = sameMoment(plan, wanted);
    }
    const operation = await carryOut(context, { path: '/v1/rollbacks', body: { group, to, ...more } });
    const result = resultOf(operation);
    if (operation.problem !== null) {
      if (result.diff !== undefined || result.checks.length > 0) terminal.note(planText(result).trimEnd());
      if (result.safetyPoint !== null) terminal.note(`safety point: ${result.safetyPoint.label}`);
    }
    succeeded(operation);
    output.print(operation, (one) => (one.state === 'succeeded' ? doneText(result) : operationTable([one])));
    return exitCodes.ok;
  },
};

// What was shown is what is done: `-5m` means another moment by now.
function sameMoment({ point }: Result, wanted: RestoreTarget): RestoreTarget {
  if (point === undefined || 'label' in wanted) return wanted;
  return point.timeline === null ? { label: point.base } : { offset: point.offset, timeline: point.timeline };
}

function resultOf(operation: Operation): Result {
  return resultSchema.parse(operation.result ?? {});
}

function blocked({ checks }: Result): Failure {
  const open = checks.filter((check) => check.blocking && check.ok !== true);
  return new Failure('It may not be done now.', {
    why: open.map(({ name, detail }) => `${name}: ${detail}`),
    ...(open[0] === undefined ? {} : { next: open[0].next }),
    exitCode: exitCodes.refused,
  });
}

function planText(result: Result): string {
  const { point, diff, warnings, checks } = result;
  const lines: string[] = [];
  if (point !== undefined)
    lines.push(`moment   ${timeText(point.at)}, offset ${point.offset}, from backup ${point.base}`);
  if (diff !== undefined) lines.push(...diffLines(diff));
  lines.push(...warnings.map((warning) => `WARNING  ${warning}`));
  lines.push(
    ...checks
      .filter(({ ok }) => ok !== true)
      .map(({ name, detail, blocking }) => `${blocking ? 'BLOCKED' : 'note   '}  ${name}: ${detail}`),
  );
  return lines.map((line) => `${line}\n`).join('');
}

function diffLines({ now, target, added, changed, removed, samples }: z.infer<typeof dataDiffSchema>): string[] {
  const lines = [`keys     ${now} now, ${target} then`];
  const kinds = [
    ['returns', added, samples.added],
    ['changes', changed, samples.changed],
    ['goes', removed, samples.removed],
  ] as const;
  for (const [what, count, names] of kinds) {
    if (count === null) continue;
    const shown = names.length === 0 ? '' : `: ${names.join(', ')}${count > names.length ? ', ...' : ''}`;
    lines.push(`${what.padEnd(8)} ${count}${shown}`);
  }
  return lines;
}

function doneText(result: Result): string {
  const { safetyPoint, undo, unavailable, notes } = result;
  const lines = [planText({ ...result, checks: [] }).trimEnd(), 'done'];
  if (unavailable !== null)
    lines.push(`held     writes for ${msText(unavailable.writesMs)}, reads for ${msText(unavailable.readsMs)}`);
  lines.push(...notes.map((note) => `note     ${note}`));
  if (safetyPoint !== null) lines.push(`safety   ${safetyPoint.label} keeps what was there before`);
  if (undo !== null) lines.push(`undo     ${undo.command}`);
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}
