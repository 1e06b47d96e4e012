// `backup`: what there is, a new one, its proof, what may go, and the rehearsal.
import { backupViewSchema, type BackupView, type Operation } from '@switchyard/protocol';
import { z } from 'zod';
import type { Command, CommandContext } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { carryOut, succeeded } from '../follow-operation.ts';
import { momentDoc, parseMomentOption } from '../moment-option.ts';
import { rowsOf } from '../output.ts';
import { msText, sizeText, timeText } from '../words.ts';
import { groupOf, groupOption, noWaitOption, yesOption } from './backup-options.ts';
import { operationTable } from './ops.ts';

const listSchema = z.looseObject({
  backups: z.array(backupViewSchema),
  problems: z.array(z.looseObject({ path: z.string(), detail: z.string() })),
});
const pruneSchema = z.looseObject({
  keep: z.array(z.looseObject({ label: z.string(), reason: z.string() })),
  remove: z.array(z.looseObject({ label: z.string(), reason: z.string() })),
});

/** The commands that are about backups as they lie there. */
export const backupCommands: readonly Command[] = [
  {
    words: ['backup', 'list'],
    summary: 'All backups, newest first, with what is known about each',
    options: { group: { ...groupOption, doc: 'only this group. all' } },
    run: async ({ api, given, output, terminal, signal }) => {
      const query = { group: given.text('group') };
      const document = listSchema.parse(await api.ask({ path: '/v1/backups', query, signal }));
      output.print(document, ({ backups }) => backupTable(backups));
      for (const { path, detail } of document.problems) terminal.note(`cannot be used: ${path}: ${detail}`);
      return exitCodes.ok;
    },
  },
  {
    words: ['backup', 'create'],
    summary: 'Takes a backup now and proves it by loading it',
    options: { group: groupOption, 'no-wait': noWaitOption },
    run: async (context) => {
      const begun = await carryOut(context, { path: '/v1/backups', body: { group: groupOf(context) } });
      return showOutcome(context, begun, async (done) => {
        const view = await viewOf(context, String(done.result?.['label']));
        context.output.print(view, (one) => backupTable([one]));
      });
    },
  },
  {
    words: ['backup', 'show'],
    positionals: ['LABEL'],
    summary: 'One backup with its manifest and its latest verification',
    options: { group: groupOption },
    run: async (context) => {
      context.output.print(await viewOf(context, context.given.positionals[0] ?? ''), backupText);
      return exitCodes.ok;
    },
  },
  {
    words: ['backup', 'verify'],
    positionals: ['LABEL'],
    summary: 'Proves a backup again: hashes, loading, counts and digest',
    options: { group: groupOption, 'no-wait': noWaitOption },
    run: async (context) => {
      const label = encodeURIComponent(context.given.positionals[0] ?? '');
      const group = context.given.text('group');
      const within = group === undefined ? '' : `?group=${encodeURIComponent(group)}`;
      const begun = await carryOut(context, { path: `/v1/backups/${label}/verify${within}` });
      return showOutcome(context, begun, (done) => {
        context.output.print(done, () => `${done.subject} holds what it says.\n`);
      });
    },
  },
  {
    words: ['backup', 'prune'],
    summary: 'Removes what retention does not keep; never the last good one',
    options: {
      group: groupOption,
      yes: yesOption,
      'dry-run': { type: 'boolean', doc: 'only tell what would be removed, and why the rest is kept' },
    },
    run: async (context) => {
      const { api, given, output, terminal, signal } = context;
      const group = groupOf(context);
      const ask = async (dryRun: boolean): Promise<z.infer<typeof pruneSchema>> =>
        pruneSchema.parse(
          await api.ask({ method: 'POST', path: '/v1/backups/prune', body: { group, dryRun }, signal }),
        );
      const plan = await ask(true);
      if (given.flag('dry-run')) {
        output.print(plan, pruneText);
        return exitCodes.ok;
      }
      if (plan.remove.length > 0) {
        terminal.note(pruneText(plan).trimEnd());
        await confirmed(context, `Remove ${plan.remove.length} backups of ${group} for good?`);
      }
      output.print(plan.remove.length > 0 ? await ask(false) : plan, pruneText);
      return exitCodes.ok;
    },
  },
  {
    words: ['backup', 'rehearse'],
    summary: 'Rolls a scratch group back as the real one would be, and measures it',
    options: {
      group: groupOption,
      to: { type: 'string', value: 'MOMENT', doc: momentDoc },
      'no-wait': noWaitOption,
    },
    run: async (context) => {
      const moment = context.given.text('to');
      const to = moment === undefined ? {} : { to: parseMomentOption(moment) };
      const begun = await carryOut(context, { path: '/v1/rehearsals', body: { group: groupOf(context), ...to } });
      return showOutcome(context, begun, (done) => {
        context.output.print(done, ({ result }) => {
          const number = (name: string): string => {
            const value = result?.[name];
            return typeof value === 'number' ? msText(value) : '-';
          };
          return `The rehearsal went well. Time to recover: ${number('rtoMs')}, would be lost: ${number('rpoMs')} of writes.\n`;
        });
      });
    },
  },
];

/** Prints what `show` prints when the work is done; the operation as it is when it was not waited for; a Failure otherwise. */
async function showOutcome(
  { output }: CommandContext,
  operation: Operation,
  show: (done: Operation) => void | Promise<void>,
): Promise<(typeof exitCodes)['ok']> {
  if (succeeded(operation).state === 'succeeded') await show(operation);
  else output.print(operation, (one) => operationTable([one]));
  return exitCodes.ok;
}

async function viewOf({ api, given, signal }: CommandContext, label: string): Promise<BackupView> {
  const query = { group: given.text('group') };
  return backupViewSchema.parse(await api.ask({ path: `/v1/backups/${encodeURIComponent(label)}`, query, signal }));
}

function backupTable(backups: readonly BackupView[]): string {
  return rowsOf({
    head: ['LABEL', 'GROUP', 'STATE', 'DATA FROM', 'KEYS', 'SIZE', 'LOADED', 'SERVER'],
    rows: backups.map(({ label, group, state, startedAt, keys, bytes, rawBytes, manifest }) => [
      label,
      group,
      state,
      timeText(startedAt),
      keys,
      sizeText(bytes),
      sizeText(rawBytes),
      `${manifest.server.kind} ${manifest.server.version}`,
    ]),
    empty: 'There are no backups yet: switchyard backup create takes one.',
  });
}

function backupText(view: BackupView): string {
  const { manifest, verification } = view;
  const { source } = manifest;
  const proof =
    verification === null
      ? 'never'
      : `${timeText(new Date(verification.atMs).toISOString())}, ${verification.problem ?? 'everything as the manifest says'}`;
  const facts: readonly (readonly [string, string])[] = [
    ['label', view.label],
    ['group', view.group],
    ['state', view.state],
    ['data from', timeText(view.startedAt)],
    ['source', `${source.host}:${source.port} (${source.role})`],
    ['position', `offset ${source.offset} of ${source.replicationId}`],
    ['timeline', manifest.timeline ?? 'none: only its own moment can be restored'],
    ['keys', `${view.keys}`],
    ['size', `${sizeText(view.bytes)} stored, ${sizeText(view.rawBytes)} as RDB`],
    ['encrypted', manifest.files.some((file) => file.encryption !== undefined) ? 'yes' : 'no'],
    ['digest', manifest.digest],
    ['verified', proof],
    ['written by', manifest.writer],
  ];
  return facts.map(([name, value]) => `${name.padEnd(11)}${value}\n`).join('');
}

function pruneText({ keep, remove }: z.infer<typeof pruneSchema>): string {
  return rowsOf({
    head: ['', 'LABEL', 'WHY'],
    rows: [
      ...remove.map(({ label, reason }) => ['remove', label, reason]),
      ...keep.map(({ label, reason }) => ['keep', label, reason]),
    ],
    empty: 'There are no backups.',
  });
}
